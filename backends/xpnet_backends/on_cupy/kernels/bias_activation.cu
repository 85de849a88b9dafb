// What follows a product in a layer, y = f(x W + b), and its way back: dx = dy f'(x) with the bias's gradient, the sums
// of dx down its columns.
//
// Memory traffic an element: forward reads and writes the product in place, 2 values, 8 bytes in float32; backward
// reads y and dy and writes dx, 3 values, 12 bytes. The column sums come from values that are in registers already; the
// bias, and the partial sums of a few rows, are small. Operation by operation, bias and ReLU read and write 4 values,
// and the way back 6 (the slope, its product with dy, the sums).
//
// The sums of a block's rows go to a table of their own, which a second launch adds up in order: no atomics, so that
// every launch gives the same bits.

constexpr int COLUMNS = 32;  // of a block: neighbouring threads read neighbouring values
constexpr int DEEP = 8;      // threads of a block that share a column

enum Activation { IDENTITY, RELU, SIGMOID, TANH };

__device__ real activate(real x, int activation) {
    if (activation == RELU) {
        return x > 0 || x != x ? x : real(0);  // a NaN stays, as in maximum(x, 0)
    }
    if (activation == SIGMOID) {
        real decay = exp(-fabs(x));
        return (x >= 0 ? real(1) : decay) / (real(1) + decay);
    }
    return activation == TANH ? tanh(x) : x;
}

// The derivative, from the activation's value.
__device__ real slope(real y, int activation) {
    if (activation == RELU) {
        return y > 0 ? real(1) : real(0);
    }
    if (activation == SIGMOID) {
        return y * (real(1) - y);
    }
    return activation == TANH ? real(1) - y * y : real(1);
}

// Blocks in x: columns; blocks in y: rows, each taking every gridDim.y-th group of DEEP. Block: (COLUMNS, DEEP).
extern "C" __global__ void bias_activation(real* __restrict__ y, const real* __restrict__ bias, long long rows,
                                           int units, int activation) {
    int column = blockIdx.x * COLUMNS + threadIdx.x;
    if (column >= units) {
        return;
    }
    real own = bias[column];
    for (long long row = (long long)blockIdx.y * DEEP + threadIdx.y; row < rows; row += (long long)gridDim.y * DEEP) {
        long long i = row * units + column;
        y[i] = activate(y[i] + own, activation);
    }
}

// partial: (gridDim.y, units), the sums of each block's rows. dx may be null, where the sums alone are wanted.
extern "C" __global__ void bias_activation_backward(const real* __restrict__ y, const real* __restrict__ dy,
                                                    real* __restrict__ dx, real* __restrict__ partial, long long rows,
                                                    int units, int activation) {
    __shared__ real sums[DEEP][COLUMNS];
    int column = blockIdx.x * COLUMNS + threadIdx.x;
    real sum = 0;
    if (column < units) {
        long long stride = (long long)gridDim.y * DEEP;
        for (long long row = (long long)blockIdx.y * DEEP + threadIdx.y; row < rows; row += stride) {
            long long i = row * units + column;
            real change = dy[i] * slope(y[i], activation);
            if (dx) {
                dx[i] = change;
            }
            sum += change;
        }
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && column < units) {
        for (int other = 1; other < DEEP; other++) {
            sum += sums[other][threadIdx.x];
        }
        partial[(long long)blockIdx.y * units + column] = sum;
    }
}

// One thread a column: dbias = sum of the partial sums, in their order.
extern "C" __global__ void add_partial_sums(const real* __restrict__ partial, real* __restrict__ dbias, int parts,
                                            int units) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column < units) {
        real sum = 0;
        for (int part = 0; part < parts; part++) {
            sum += partial[(long long)part * units + column];
        }
        dbias[column] = sum;
    }
}
