// cuBLAS: the products that CuPy's matmul calls, of matrices in column-major order. Sums are taken in order.
#include <cstring>
#include <vector>

#include "gpu.h"

namespace {

enum { DONE = 0, EXECUTION_FAILED = 13, UNSUPPORTED = 15 };
enum Kind { FLOAT32 = 0, FLOAT64 = 1, BFLOAT16 = 14 };

struct Handle {
    void* stream;
    int math, pointers;
};

struct Bfloat16 {
    std::uint16_t bits;
    operator float() const {
        std::uint32_t wide = std::uint32_t(bits) << 16;
        float value;
        std::memcpy(&value, &wide, sizeof value);
        return value;
    }
    Bfloat16& operator=(float value) {
        std::uint32_t wide;
        std::memcpy(&wide, &value, sizeof wide);
        bool nan = (wide & 0x7FFFFFFF) > 0x7F800000;
        bits = nan ? 0x7FFF : std::uint16_t((wide + 0x7FFF + (wide >> 16 & 1)) >> 16);
        return *this;
    }
};

struct Product {
    int transpose_a, transpose_b, m, n, k, lda, ldb, ldc;
    const void *alpha, *beta;

    template <class Value, class Sum>
    int of(const void* left, const void* right, void* result) const {
        const Value *a = static_cast<const Value*>(left), *b = static_cast<const Value*>(right);
        Value* c = static_cast<Value*>(result);
        const Sum scale = *static_cast<const Sum*>(alpha), keep = *static_cast<const Sum*>(beta);
        std::vector<Sum> columns(std::size_t(m) * std::size_t(k)), sums(m);
        for (int p = 0; p < k; p++)
            for (int i = 0; i < m; i++)
                columns[std::size_t(p) * m + i] = transpose_a ? a[std::size_t(i) * lda + p] : a[std::size_t(p) * lda + i];
        for (int j = 0; j < n; j++) {
            sums.assign(m, Sum(0));
            Sum* __restrict sum = sums.data();
            for (int p = 0; p < k; p++) {
                const Sum factor = transpose_b ? b[std::size_t(p) * ldb + j] : b[std::size_t(j) * ldb + p];
                const Sum* __restrict column = columns.data() + std::size_t(p) * m;
                for (int i = 0; i < m; i++) sum[i] += factor * column[i];
            }
            Value* out = c + std::size_t(j) * ldc;
            for (int i = 0; i < m; i++) out[i] = keep == Sum(0) ? scale * sum[i] : scale * sum[i] + keep * Sum(out[i]);
        }
        return DONE;
    }

    int of(int kind, const void* left, const void* right, void* result) const {
        ALONE;
        if (failure()) return EXECUTION_FAILED;
        for (const void* matrix : {left, right, static_cast<const void*>(result)})
            if (device_of(matrix) != current_device) return EXECUTION_FAILED;
        products++;
        switch (kind) {
            case FLOAT32: return of<float, float>(left, right, result);
            case FLOAT64: return of<double, double>(left, right, result);
            case BFLOAT16: return of<Bfloat16, float>(left, right, result);
        }
        return UNSUPPORTED;
    }
};

}  // namespace

API int cublasCreate_v2(Handle** handle) { return *handle = new Handle(), DONE; }
API int cublasDestroy_v2(Handle* handle) { return delete handle, DONE; }
API int cublasGetVersion_v2(Handle*, int* version) { return *version = 130000, DONE; }
API int cublasSetStream_v2(Handle* handle, void* stream) { return handle->stream = stream, DONE; }
API int cublasGetStream_v2(Handle* handle, void** stream) { return *stream = handle->stream, DONE; }
API int cublasSetMathMode(Handle* handle, int mode) { return handle->math = mode, DONE; }
API int cublasGetMathMode(Handle* handle, int* mode) { return *mode = handle->math, DONE; }
API int cublasSetPointerMode_v2(Handle* handle, int mode) { return handle->pointers = mode, DONE; }
API int cublasGetPointerMode_v2(Handle* handle, int* mode) { return *mode = handle->pointers, DONE; }

API int cublasGemmEx(Handle*, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha, const void* a,
                     int kind_a, int lda, const void* b, int kind_b, int ldb, const void* beta, void* c, int kind_c,
                     int ldc, int, int) {
    if (kind_a != kind_b || kind_a != kind_c) return UNSUPPORTED;
    return Product{transpose_a, transpose_b, m, n, k, lda, ldb, ldc, alpha, beta}.of(kind_a, a, b, c);
}

API int cublasGemmStridedBatchedEx(Handle*, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha,
                                   const char* a, int kind_a, int lda, long long stride_a, const char* b, int kind_b,
                                   int ldb, long long stride_b, const void* beta, char* c, int kind_c, int ldc,
                                   long long stride_c, int count, int, int) {
    if (kind_a != kind_b || kind_a != kind_c) return UNSUPPORTED;
    const long long width = kind_a == FLOAT64 ? 8 : kind_a == FLOAT32 ? 4 : 2;
    const Product product{transpose_a, transpose_b, m, n, k, lda, ldb, ldc, alpha, beta};
    for (long long i = 0; i < count; i++) {
        int error = product.of(kind_a, a + width * stride_a * i, b + width * stride_b * i, c + width * stride_c * i);
        if (error) return error;
    }
    return DONE;
}

template <class Value>
static int batched(const Product& product, int kind, const Value** a, const Value** b, Value** c, int count) {
    for (int i = 0; i < count; i++)
        if (int error = product.of(kind, a[i], b[i], c[i])) return error;
    return DONE;
}

API int cublasSgemmBatched(Handle*, int transpose_a, int transpose_b, int m, int n, int k, const float* alpha,
                           const float** a, int lda, const float** b, int ldb, const float* beta, float** c, int ldc,
                           int count) {
    return batched({transpose_a, transpose_b, m, n, k, lda, ldb, ldc, alpha, beta}, FLOAT32, a, b, c, count);
}
API int cublasDgemmBatched(Handle*, int transpose_a, int transpose_b, int m, int n, int k, const double* alpha,
                           const double** a, int lda, const double** b, int ldb, const double* beta, double** c,
                           int ldc, int count) {
    return batched({transpose_a, transpose_b, m, n, k, lda, ldb, ldc, alpha, beta}, FLOAT64, a, b, c, count);
}
