// Each row's loss -sum(t log softmax(z)) and its slope softmax(z) - t: one warp a row, any number of classes.
//
// Memory traffic an element: reads logits and targets, writes slopes: 3 values, 12 bytes in float32; and one loss a
// row. The row's logits are read three times and its targets twice, but the later readings come from the cache, which
// a row of some thousand classes does not leave. The reference, xpnet.nn.softmax_cross_entropy, goes over the table eight
// times.
//
// Lane k adds up classes k, k + 32, ...; the 32 sums meet in a butterfly, so the order of a sum differs from the
// reference's and is the same in every launch. A NaN among the logits reaches the whole row, as there: the maximum
// passes it by, the sum does not.

constexpr int WARP = 32;

__device__ real warp_max(real value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        value = fmax(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance));
    }
    return value;
}

__device__ real warp_sum(real value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xFFFFFFFFu, value, distance);
    }
    return value;
}

extern "C" __global__ void softmax_cross_entropy(const real* __restrict__ logits, const real* __restrict__ targets,
                                                 real* __restrict__ losses, real* __restrict__ slopes, long long rows,
                                                 int classes) {
    int lane = threadIdx.x % WARP;
    long long row = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    long long stride = (long long)gridDim.x * blockDim.x / WARP;
    for (; row < rows; row += stride) {  // the same for all lanes of a warp, which the exchanges need
        const real* z = logits + row * classes;
        const real* t = targets + row * classes;
        real* slope = slopes + row * classes;

        real largest = z[0];
        for (int k = lane; k < classes; k += WARP) {
            largest = fmax(largest, z[k]);
        }
        largest = warp_max(largest);

        real total = 0;
        real expected = 0;  // of the logit under the targets
        for (int k = lane; k < classes; k += WARP) {
            real shifted = z[k] - largest;
            total += exp(shifted);
            expected += t[k] * shifted;
        }
        total = warp_sum(total);
        expected = warp_sum(expected);

        for (int k = lane; k < classes; k += WARP) {
            slope[k] = exp(z[k] - largest) / total - t[k];
        }
        if (lane == 0) {
            losses[row] = log(total) - expected;
        }
    }
}
