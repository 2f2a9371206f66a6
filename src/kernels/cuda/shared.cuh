// Shared memory whose size the launch says: numbers of `type` from `name` on.
#pragma once

#ifdef PSPO_EMULATED
#define DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(emulator_dynamic_shared())
#else
#define DYNAMIC_SHARED(type, name)                               \
    extern __shared__ __align__(16) unsigned char shared_bytes[]; \
    type* name = reinterpret_cast<type*>(shared_bytes)
#endif
