// Tiles of attention: TILE tokens of one row, in the order in which attention/rows.rs cuts rows.
#pragma once

constexpr unsigned TILE = 64;

struct Place {
    unsigned start, end, first;  // of the row, and of the tile
};

// The tile of this block.
__device__ __forceinline__ Place place_of(const unsigned* __restrict__ tiles) {
    const unsigned* tile = tiles + 3 * size_t(blockIdx.x);
    return {tile[0], tile[1], tile[2]};
}
