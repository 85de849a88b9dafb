// As much of a GPU as the kernels need, on one thread of a processor: the threads of a block are fibers that take turns
// at __syncthreads and at the exchanges of a warp; blocks run one after the other. A launch can give the turns in
// backward order: what a missing barrier lets slip in one order is wrong in the other.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#define __device__ static
#define __global__
#define __shared__ static

using std::exp;
using std::expm1;
using std::fabs;
using std::fmax;
using std::log;
using std::sqrt;
using std::tanh;

struct Index {
    unsigned x, y;
};

static Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

constexpr std::size_t STACK = 64 * 1024;

struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    Index index;
    unsigned char exchanged[8];
    bool done;
};

static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static std::size_t current;
static void (*body)(void**);
static void** arguments;

static void enter() {
    body(arguments);
    fibers[current].done = true;
}

static void give_way() { swapcontext(&fibers[current].context, &scheduler); }

static void run_block(bool backward) {
    for (std::size_t i = 0; i < fibers.size(); i++) {
        Fiber& fiber = fibers[i];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = &scheduler;
        fiber.done = false;
        makecontext(&fiber.context, enter, 0);
    }
    for (std::size_t alive = fibers.size(); alive > 0;) {
        for (std::size_t turn = 0; turn < fibers.size(); turn++) {
            current = backward ? fibers.size() - 1 - turn : turn;
            if (!fibers[current].done) {
                threadIdx = fibers[current].index;
                swapcontext(&scheduler, &fibers[current].context);
                alive -= fibers[current].done;
            }
        }
    }
}

static void run_grid(const unsigned* shape, bool backward) {
    gridDim = {shape[0], shape[1]};
    blockDim = {shape[2], shape[3]};
    fibers.resize(blockDim.x * blockDim.y);
    for (std::size_t i = 0; i < fibers.size(); i++) {
        fibers[i].stack.resize(STACK);
        fibers[i].index = {unsigned(i % blockDim.x), unsigned(i / blockDim.x)};
    }
    for (unsigned y = 0; y < gridDim.y; y++) {
        for (unsigned x = 0; x < gridDim.x; x++) {
            blockIdx = {x, y};
            run_block(backward);
        }
    }
}

// Arguments come as a launch gets them: the addresses of their values.
template <class... Arguments, std::size_t... Number>
static void launch(void (*kernel)(Arguments...), const unsigned* shape, int backward, void** given,
                   std::index_sequence<Number...>) {
    static auto call = kernel;
    call = kernel;
    body = [](void** values) { call(*static_cast<Arguments*>(values[Number])...); };
    arguments = given;
    run_grid(shape, backward);
}

template <class... Arguments>
static void launch(void (*kernel)(Arguments...), const unsigned* shape, int backward, void** given) {
    launch(kernel, shape, backward, given, std::index_sequence_for<Arguments...>());
}

}  // namespace emulation

[[maybe_unused]] static void __syncthreads() { emulation::give_way(); }

template <class Value>
static Value __shfl_xor_sync(unsigned, Value value, int distance) {
    static_assert(sizeof(Value) <= sizeof(emulation::Fiber::exchanged));
    std::memcpy(emulation::fibers[emulation::current].exchanged, &value, sizeof value);
    emulation::give_way();
    std::memcpy(&value, emulation::fibers[emulation::current ^ std::size_t(distance)].exchanged, sizeof value);
    emulation::give_way();
    return value;
}
