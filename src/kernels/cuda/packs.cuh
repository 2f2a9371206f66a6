// Numbers in packs of 16 bytes, as memory is read and written best.
#pragma once

template <typename T>
struct __align__(16) Pack {
    static constexpr unsigned COUNT = 16 / sizeof(T);
    T numbers[COUNT];

    __device__ __forceinline__ static Pack of(const T* from) { return *reinterpret_cast<const Pack*>(from); }
    __device__ __forceinline__ void store(T* to) const { *reinterpret_cast<Pack*>(to) = *this; }
};

// Whether rows of `width` numbers, which begin at these places, come in whole packs.
template <typename T, typename... Pointers>
__device__ __forceinline__ bool in_packs(size_t width, const Pointers*... places) {
    return width % Pack<T>::COUNT == 0 && ((reinterpret_cast<size_t>(places) | ...) & 15) == 0;
}
