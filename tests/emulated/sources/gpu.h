// What the parts of the emulated GPU know of each other, in the words of CUDA's own interface.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>

#define API extern "C" __attribute__((visibility("default")))

enum Error {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    ECC_UNCORRECTABLE = 214,
    PEER_ACCESS_UNSUPPORTED = 217,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
};

#pragma GCC visibility push(default)  // cuBLAS is a library of its own

extern std::recursive_mutex everything;
// Everything that touches the GPU happens one after the other.
#define ALONE std::lock_guard<std::recursive_mutex> alone(everything)

extern thread_local int current_device;

int device_count();

// The device that an address belongs to: -1 for the host's memory.
int device_of(const void* address);

// Counts a call, and returns the error that it is to fail with, as a test may have asked for.
int failure();

const char* name_of(int error);

extern unsigned long long products;

#pragma GCC visibility pop
