// Adam (Kingma and Ba 2015, algorithm 1) over the flat vector of parameters, and AdamW's decay before it.
//
// Memory traffic an element: reads gradient, params, m, v; writes params, m, v: 7 values, 28 bytes in float32. The
// decay reads its mask too: 8 values, 32 bytes. Operation by operation the same step reads and writes 30 values.
//
// Rate and step count are read from the device, so that a captured launch sees the ones of its own step. A thread
// computes the two bias corrections once, whatever the number of its elements. The operations and their order are
// those of the reference, xpnet.nn.adam; compiled without contraction (--fmad=false) each rounds as there.

// 1 - beta^step, with the digits that float32 would lose. A beta of 0 has the logarithm -infinity, and no correction.
__device__ real bias_correction(real log_beta, real step) { return -expm1(step * log_beta); }

// rest1, rest2: 1 - beta1, 1 - beta2, rounded once, by the caller. rate: divided by m's correction. scale: 1 over the
// square root of v's.
__device__ void adam_element(real gradient, real& param, real& m, real& v, real rate, real scale, real beta1,
                             real rest1, real beta2, real rest2, real epsilon) {
    m = m * beta1 + rest1 * gradient;
    v = v * beta2 + rest2 * (gradient * gradient);
    real denominator = sqrt(v) * scale + epsilon;
    param -= rate * m / denominator;
}

extern "C" __global__ void adam(const real* __restrict__ gradient, real* __restrict__ params, real* __restrict__ m,
                                real* __restrict__ v, const real* rate, const real* step, real beta1, real rest1,
                                real log_beta1, real beta2, real rest2, real log_beta2, real epsilon,
                                long long size) {
    real corrected = *rate / bias_correction(log_beta1, *step);
    real scale = real(1) / sqrt(bias_correction(log_beta2, *step));
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += stride) {
        adam_element(gradient[i], params[i], m[i], v[i], corrected, scale, beta1, rest1, beta2, rest2, epsilon);
    }
}

// mask: 1 where a parameter decays, 0 where it does not (biases, norms).
extern "C" __global__ void adamw(const real* __restrict__ gradient, real* __restrict__ params, real* __restrict__ m,
                                 real* __restrict__ v, const real* __restrict__ mask, const real* rate,
                                 const real* step, real decay, real beta1, real rest1, real log_beta1, real beta2,
                                 real rest2, real log_beta2, real epsilon, long long size) {
    real corrected = *rate / bias_correction(log_beta1, *step);
    real scale = real(1) / sqrt(bias_correction(log_beta2, *step));
    real shrinkage = *rate * decay;
    long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += stride) {
        params[i] *= real(1) - shrinkage * mask[i];
        adam_element(gradient[i], params[i], m[i], v[i], corrected, scale, beta1, rest1, beta2, rest2, epsilon);
    }
}
