// What a CUDA kernel sees of its GPU, for a kernel that is compiled for the processor. Blocks run one after the other.
// The threads of a block are a loop or, in kernels with barriers, fibers.
#pragma once
#include <immintrin.h>

#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "threads.h"

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(size) __attribute__((aligned(size)))
#define __shared__ static
#define __constant__ static

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;
constexpr int warpSize = 32;

// Functions that CUDA has without a namespace, for each type that it has them for.
using std::abs, std::acos, std::acosh, std::asin, std::asinh, std::atan, std::atan2, std::atanh, std::cbrt, std::ceil;
using std::copysign, std::cos, std::cosh, std::erf, std::erfc, std::exp, std::exp2, std::expm1, std::fabs, std::floor;
using std::fma, std::fmax, std::fmin, std::fmod, std::frexp, std::hypot, std::ilogb, std::isfinite, std::isinf;
using std::isnan, std::ldexp, std::lgamma, std::log, std::log10, std::log1p, std::log2, std::logb, std::modf;
using std::nearbyint, std::nextafter, std::pow, std::remainder, std::rint, std::round, std::signbit, std::sin;
using std::sinh, std::sqrt, std::tan, std::tanh, std::tgamma, std::trunc;

template <class One, class Other>
auto min(One one, Other other) {
    std::common_type_t<One, Other> a = one, b = other;
    if constexpr (std::is_floating_point_v<decltype(a)>) return fmin(a, b);
    else return b < a ? b : a;
}
template <class One, class Other>
auto max(One one, Other other) {
    std::common_type_t<One, Other> a = one, b = other;
    if constexpr (std::is_floating_point_v<decltype(a)>) return fmax(a, b);
    else return a < b ? b : a;
}
inline float rsqrt(float x) { return 1.0f / sqrt(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }

template <class To, class From>
To bits_as(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}
inline int __float_as_int(float x) { return bits_as<int>(x); }
inline unsigned __float_as_uint(float x) { return bits_as<unsigned>(x); }
inline float __int_as_float(int x) { return bits_as<float>(x); }
inline float __uint_as_float(unsigned x) { return bits_as<float>(x); }
inline long long __double_as_longlong(double x) { return bits_as<long long>(x); }
inline double __longlong_as_double(long long x) { return bits_as<double>(x); }
inline int __double2hiint(double x) { return int(bits_as<long long>(x) >> 32); }
inline int __double2loint(double x) { return int(bits_as<long long>(x)); }
inline double __hiloint2double(int high, int low) {
    return bits_as<double>((unsigned long long)(unsigned(high)) << 32 | unsigned(low));
}
inline unsigned short __float2half_rn(float x) { return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT); }
inline float __half2float(unsigned short x) { return _cvtsh_ss(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)(x)) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)(a)*b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)(a)*b >> 64);
}

// One thread runs at a time, so what is done at once is done as it stands.
template <class Value, class Change>
Value exchanged(Value* place, Change change) {
    Value before = *place;
    *place = change(before);
    return before;
}
template <class Value>
Value atomicAdd(Value* place, Value by) {
    return exchanged(place, [=](Value now) { return Value(now + by); });
}
template <class Value>
Value atomicMax(Value* place, Value other) {
    return exchanged(place, [=](Value now) { return now < other ? other : now; });
}
template <class Value>
Value atomicMin(Value* place, Value other) {
    return exchanged(place, [=](Value now) { return other < now ? other : now; });
}
template <class Value>
Value atomicExch(Value* place, Value value) {
    return exchanged(place, [=](Value) { return value; });
}
template <class Value>
Value atomicCAS(Value* place, Value expected, Value value) {
    return exchanged(place, [=](Value now) { return now == expected ? value : now; });
}
inline void __threadfence() {}

namespace emulation {

inline void give_way() {
    dim3 mine = threadIdx;
    emulated_switch(&emulated_fibers[emulated_thread].stack, emulated_scheduler);
    threadIdx = mine;
}

inline void wait_at(Barrier& barrier) {
    unsigned before = barrier.generation;
    barrier.arrived++;
    emulated_open(&barrier);
    while (barrier.generation == before) give_way();
}

inline Barrier& of_block() { return emulated_barriers[32]; }
inline Barrier& of_warp() { return emulated_barriers[emulated_thread / 32]; }

// What the thread with that number in the warp gives here.
template <class Value>
Value shuffled(Value value, unsigned lane) {
    static_assert(sizeof(Value) <= sizeof(Fiber::exchanged));
    std::memcpy(emulated_fibers[emulated_thread].exchanged, &value, sizeof value);
    wait_at(of_warp());
    unsigned from = emulated_thread / 32 * 32 + lane % 32;
    if (from < emulated_threads) std::memcpy(&value, emulated_fibers[from].exchanged, sizeof value);
    wait_at(of_warp());
    return value;
}

inline unsigned lane() { return emulated_thread % 32; }

inline dim3 place_of(unsigned thread) {
    return {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
}

static void (*body)(void**);
static void** given;

static void enter() {
    threadIdx = place_of(emulated_thread);
    body(given);
    emulated_fibers[emulated_thread].done = true;
    give_way();
}

// The numbers and addresses come as a launch gets them: by the addresses of their values.
template <auto kernel, class... Arguments, std::size_t... Number>
void call(void (*)(Arguments...), void** values, std::index_sequence<Number...>) {
    kernel(*static_cast<std::remove_reference_t<Arguments>*>(values[Number])...);
}

template <class... Arguments>
auto numbers_of(void (*)(Arguments...)) {
    return std::index_sequence_for<Arguments...>();
}

template <auto kernel, bool barriers>
void run(const unsigned* shape, int backward, void** values) {
    body = [](void** values) { call<kernel>(kernel, values, numbers_of(kernel)); };
    given = values;
    gridDim = {shape[0], shape[1], shape[2]};
    blockDim = {shape[3], shape[4], shape[5]};
    unsigned blocks = gridDim.x * gridDim.y * gridDim.z, threads = blockDim.x * blockDim.y * blockDim.z;
    for (unsigned block = 0; block < blocks; block++) {
        blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y, block / (gridDim.x * gridDim.y)};
        if constexpr (barriers) {
            emulated_run_block(threads, enter, backward);
        } else {
            for (unsigned turn = 0; turn < threads; turn++) {
                threadIdx = place_of(backward ? threads - 1 - turn : turn);
                call<kernel>(kernel, values, numbers_of(kernel));
            }
        }
    }
}

template <class... Arguments>
int sizes(void (*)(Arguments...), unsigned* found) {
    const unsigned all[] = {unsigned(sizeof(Arguments))..., 0};
    std::memcpy(found, all, sizeof all);
    return sizeof...(Arguments);
}

}  // namespace emulation

inline void __syncthreads() { emulation::wait_at(emulation::of_block()); }
inline void __syncwarp(unsigned = ~0u) { emulation::wait_at(emulation::of_warp()); }

template <class Value>
Value __shfl_sync(unsigned, Value value, int lane, int = 32) {
    return emulation::shuffled(value, unsigned(lane));
}
template <class Value>
Value __shfl_xor_sync(unsigned, Value value, int distance, int = 32) {
    return emulation::shuffled(value, emulation::lane() ^ unsigned(distance));
}
template <class Value>
Value __shfl_up_sync(unsigned, Value value, unsigned distance, int = 32) {
    unsigned lane = emulation::lane();
    return emulation::shuffled(value, lane < distance ? lane : lane - distance);
}
template <class Value>
Value __shfl_down_sync(unsigned, Value value, unsigned distance, int = 32) {
    unsigned lane = emulation::lane();
    return emulation::shuffled(value, lane + distance > 31 ? lane : lane + distance);
}
