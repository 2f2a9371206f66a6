// What the emulated driver offers to kernels and to the emulated libraries that run on it.
#pragma once

#include <cstddef>
#include <cstdint>

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

// Of the thread that runs: set whenever another one goes on.
extern "C" dim3 threadIdx, blockIdx, blockDim, gridDim;

// Room of one lane in what a warp exchanges: the registers of an `mma` are 24 bytes.
constexpr size_t SLOT = 32;

// Waits for all threads of the block that have not ended.
extern "C" void emulator_sync_threads();

// Shows `size` bytes to the other lanes of the warp, waits for all of them, and returns what the 32 showed, `SLOT` bytes
// each. They hold until the lane exchanges again.
extern "C" const unsigned char* emulator_exchange(unsigned mask, const void* shown, size_t size);

// A number that the block has to itself, more than 0.
extern "C" unsigned long long emulator_block();

// The dynamic shared memory of the block.
extern "C" void* emulator_dynamic_shared();

// Ends the launch with an error of the driver; does not return.
extern "C" [[noreturn]] void emulator_fail(const char* why);

// Whether the calling thread has turned to the stream's device, or to any where there is no stream.
extern "C" bool emulator_bound(const void* stream);

// Runs a call of a stream, or keeps it for the graph that is being captured. `run` gets `data`, which is copied.
extern "C" void emulator_enqueue(void* stream, void (*run)(const void*), const void* data, size_t size);
