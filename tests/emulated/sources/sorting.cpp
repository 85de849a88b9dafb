// Thrust's sorts in the signatures of CuPy's wrappers: along the last axis, stable, NaN last.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <vector>

#include "gpu.h"

#define WRAPPER __attribute__((visibility("default")))

typedef std::ptrdiff_t Extent;

namespace {

template <class Value>
bool before(Value one, Value other) {
    if constexpr (std::is_floating_point_v<Value>)
        if (std::isnan(other)) return !std::isnan(one);
    return one < other;
}

// Calls with a null pointer of the type that CuPy numbers so.
template <class Function>
void with_type(int kind, Function function) {
    switch (kind) {
        case 0: return function(static_cast<std::int8_t*>(nullptr));
        case 1: case 13: return function(static_cast<std::uint8_t*>(nullptr));
        case 2: return function(static_cast<std::int16_t*>(nullptr));
        case 3: return function(static_cast<std::uint16_t*>(nullptr));
        case 4: return function(static_cast<std::int32_t*>(nullptr));
        case 5: return function(static_cast<std::uint32_t*>(nullptr));
        case 6: return function(static_cast<std::int64_t*>(nullptr));
        case 7: return function(static_cast<std::uint64_t*>(nullptr));
        case 9: return function(static_cast<float*>(nullptr));
        case 10: return function(static_cast<double*>(nullptr));
    }
    __builtin_trap();
}

template <class Value>
void argsort(std::size_t* order, const Value* values, std::size_t count) {
    std::stable_sort(order, order + count, [=](auto a, auto b) { return before(values[a], values[b]); });
}

std::size_t product(const std::vector<Extent>& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::size_t(1), std::multiplies<>());
}

}  // namespace

WRAPPER void thrust_sort(int kind, void* data, std::size_t*, const std::vector<Extent>& shape, std::intptr_t, void*) {
    const std::size_t size = product(shape), count = std::size_t(shape.back());
    with_type(kind, [=](auto* type) {
        auto* values = static_cast<decltype(type)>(data);
        using Value = std::remove_pointer_t<decltype(type)>;
        for (std::size_t i = 0; i < size; i += count) std::stable_sort(values + i, values + i + count, before<Value>);
    });
}

WRAPPER void thrust_argsort(int kind, std::size_t* order, void* data, void*, const std::vector<Extent>& shape,
                            std::intptr_t, void*) {
    const std::size_t size = product(shape), count = std::size_t(shape.back());
    with_type(kind, [=](auto* type) {
        auto* values = static_cast<decltype(type)>(data);
        for (std::size_t i = 0; i < size; i += count) {
            std::iota(order + i, order + i + count, 0);
            argsort(order + i, values + i, count);
        }
    });
}

WRAPPER void thrust_lexsort(int kind, std::size_t* order, void* keys, std::size_t rows, std::size_t count,
                            std::intptr_t, void*) {
    std::iota(order, order + count, 0);
    with_type(kind, [=](auto* type) {
        for (std::size_t row = 0; row < rows; row++) argsort(order, static_cast<decltype(type)>(keys) + row * count, count);
    });
}
