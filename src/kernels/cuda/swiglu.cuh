// SwiGLU of one number: silu(gate) up with silu(g) = g / (1 + e^-g).
#pragma once

__device__ __forceinline__ float swiglu(float gate, float up) { return gate / (1.0f + expf(-gate)) * up; }
