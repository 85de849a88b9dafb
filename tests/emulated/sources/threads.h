// A block's threads, as kernels and threads.cpp share them.
#pragma once

struct Barrier {
    unsigned members, arrived, generation;
};

struct Fiber {
    void* stack;
    unsigned char exchanged[16];
    bool done;
};

extern "C" {
extern Fiber emulated_fibers[];
extern unsigned emulated_thread, emulated_threads;
extern void* emulated_scheduler;
extern Barrier emulated_barriers[33];  // those of the warps, and the block's

void emulated_switch(void** left, void* entered);
void emulated_open(Barrier* barrier);
void emulated_run_block(unsigned count, void (*entry)(), int backward);
}
