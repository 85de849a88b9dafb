// The threads of a block as fibers: each has a stack, and gives way to the others where a barrier is closed.
#include "threads.h"

#include <sys/mman.h>

#include "gpu.h"

namespace {

constexpr unsigned MOST_THREADS = 1024;
constexpr std::size_t STACK = 32 * 1024;

}  // namespace

__attribute__((visibility("default"))) Fiber emulated_fibers[MOST_THREADS];
__attribute__((visibility("default"))) unsigned emulated_thread, emulated_threads;
__attribute__((visibility("default"))) void* emulated_scheduler;
__attribute__((visibility("default"))) Barrier emulated_barriers[33];

// Saves the registers that a function must keep, leaves the stack's address, and goes on on another stack.
asm(R"(
.text
.globl emulated_switch
.type emulated_switch, @function
emulated_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
)");

API void emulated_open(Barrier* barrier) {
    if (barrier->arrived && barrier->arrived >= barrier->members) {
        barrier->arrived = 0;
        barrier->generation++;
    }
}

API void emulated_run_block(unsigned count, void (*entry)(), int backward) {
    static char* stacks = static_cast<char*>(
        mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    emulated_threads = count;
    for (unsigned warp = 0; warp < 32; warp++) {
        unsigned first = warp * 32;
        emulated_barriers[warp] = {first >= count ? 0 : count - first < 32 ? count - first : 32, 0, 0};
    }
    emulated_barriers[32] = {count, 0, 0};
    for (unsigned i = 0; i < count; i++) {
        // As if the fiber had given way just before its entry, called from nowhere: six registers and where to go.
        void** top = reinterpret_cast<void**>(stacks + STACK * (i + 1)) - 2;
        *--top = nullptr;
        *--top = reinterpret_cast<void*>(entry);
        emulated_fibers[i] = {top - 6, {}, false};
    }
    for (unsigned alive = count; alive;) {
        for (unsigned turn = 0; turn < count; turn++) {
            unsigned i = backward ? count - 1 - turn : turn;
            if (emulated_fibers[i].done) continue;
            emulated_thread = i;
            emulated_switch(&emulated_scheduler, emulated_fibers[i].stack);
            if (!emulated_fibers[i].done) continue;
            alive--;
            for (Barrier* barrier : {&emulated_barriers[i / 32], &emulated_barriers[32]}) {
                barrier->members--;
                emulated_open(barrier);
            }
        }
    }
}
