// Rotary positions, of one number: a pair (a, b) turns to (a c - b s, b c + a s), with the angle's cosine and sine.
#pragma once

// The pair's number `own`; `sine` is s for the second of the two, and -s for the first.
__device__ __forceinline__ float turned(float own, float other, float cosine, float sine) {
    return own * cosine + other * sine;
}
