// Dropout's mask, 0 or 1 / (share that is kept), from the hash of a counter: the bits of xpnet.random.bits16, exactly.
//
// Memory traffic an element: writes one value, 4 bytes in float32, and reads nothing but the key's two words. A word of
// 32 random bits serves two elements: its low half element i, its high half element i + ceil(count / 2).

// `lowbias32`, with the second word of the key added in its middle; shifts 16, 15, 15 (see xpnet/random.py).
__device__ unsigned int mix(unsigned int word, unsigned int between, const unsigned int* multipliers) {
    word ^= word >> 16;
    word *= multipliers[0];
    word ^= word >> 15;
    word += between;
    word *= multipliers[1];
    word ^= word >> 15;
    return word;
}

extern "C" __global__ void dropout_mask(real* __restrict__ mask, const unsigned int* first, const unsigned int* second,
                                        const unsigned int* multipliers, unsigned int kept, real scale,
                                        long long count) {
    long long half = (count + 1) / 2;
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < half; i += stride) {
        unsigned int word = mix((unsigned int)i ^ *first, *second, multipliers);
        mask[i] = (word & 0xFFFFu) < kept ? scale : real(0);
        if (i + half < count) {
            mask[i + half] = (word >> 16) < kept ? scale : real(0);
        }
    }
}
