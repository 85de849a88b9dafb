// Devices, memory and copies: CUDA's runtime, as much of it as CuPy calls. Work is done when it is asked for, so streams
// and events only have to exist. Memory that is handed out holds NaN, so that what nobody wrote is seen where it is read.
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "gpu.h"

typedef void* Handle;

std::recursive_mutex everything;
thread_local int current_device = 0;
unsigned long long products;

namespace {

constexpr int MOST_DEVICES = 8;
constexpr int HOST = -1;
enum Direction { TO_GPU = 1, TO_HOST = 2, ON_GPU = 3, BY_ADDRESS = 4 };

struct Block {
    std::size_t size;
    int device;
};

std::map<std::uintptr_t, Block> blocks;
std::size_t used[MOST_DEVICES];
unsigned long long waits, fetched, copied;
long calls_until_failure = -1;
int planned_failure = SUCCESS;
bool lost_for_good = false;
thread_local int last_error = SUCCESS;
std::uintptr_t last_handle = 0x1000;
std::map<Handle, unsigned> stream_flags;

int fail(int error) { return last_error = error; }

std::size_t setting(const char* name, std::size_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::size_t capacity() { return setting("EMULATED_GPU_BYTES", std::size_t(2) << 30); }

const Block* block_of(const void* address) {
    auto next = blocks.upper_bound(std::uintptr_t(address));
    if (next == blocks.begin()) return nullptr;
    auto found = std::prev(next);
    return std::uintptr_t(address) < found->first + found->second.size ? &found->second : nullptr;
}

int reserve(void** address, std::size_t size, int device) {
    ALONE;
    *address = nullptr;
    if (int error = failure()) return fail(error);
    if (device != HOST && used[device] + size > capacity()) return fail(OUT_OF_MEMORY);
    if (posix_memalign(address, 256, size ? size : 1)) return fail(OUT_OF_MEMORY);
    std::memset(*address, 0xFF, size);
    blocks[std::uintptr_t(*address)] = {size, device};
    if (device != HOST) used[device] += size;
    return SUCCESS;
}

int release(void* address) {
    ALONE;
    if (!address) return SUCCESS;
    auto found = blocks.find(std::uintptr_t(address));
    if (found == blocks.end()) return fail(INVALID_VALUE);
    if (found->second.device != HOST) used[found->second.device] -= found->second.size;
    blocks.erase(found);
    std::free(address);
    return SUCCESS;
}

int copy(void* to, const void* from, std::size_t size, int direction) {
    ALONE;
    if (int error = failure()) return fail(error);
    bool to_gpu = device_of(to) != HOST, from_gpu = device_of(from) != HOST;
    if (size && direction != BY_ADDRESS) {
        if ((direction == TO_GPU || direction == ON_GPU) != to_gpu) return fail(INVALID_VALUE);
        if ((direction == TO_HOST || direction == ON_GPU) != from_gpu) return fail(INVALID_VALUE);
    }
    copied += to_gpu && !from_gpu;
    fetched += from_gpu && !to_gpu;
    if (size) std::memmove(to, from, size);
    return SUCCESS;
}

int wait() {
    ALONE;
    waits++;
    int error = failure();
    return error ? fail(error) : SUCCESS;
}

}  // namespace

int device_count() { return int(setting("EMULATED_GPUS", 2)); }

int device_of(const void* address) {
    ALONE;
    const Block* block = block_of(address);
    return block ? block->device : HOST;
}

int failure() {
    if (calls_until_failure < 0) return SUCCESS;
    if (calls_until_failure > 0) {
        calls_until_failure--;
        return SUCCESS;
    }
    if (!lost_for_good) calls_until_failure = -1;
    return planned_failure;
}

// What tests ask.

API void emulated_fail(long calls, int error, int for_good) {
    ALONE;
    calls_until_failure = calls;
    planned_failure = error;
    lost_for_good = for_good;
}
API unsigned long long emulated_waits() { return waits; }
API unsigned long long emulated_fetched() { return fetched; }
API unsigned long long emulated_copied() { return copied; }
API unsigned long long emulated_products() { return products; }
API std::size_t emulated_used(int device) { return used[device]; }

// In the place of all functions of the runtime that have no other.
API int emulated_missing() {
    std::fputs("emulated GPU: CuPy called a function of CUDA's runtime that is not emulated\n", stderr);
    return fail(NOT_SUPPORTED);
}

// Errors and versions.

const char* name_of(int error) {
    switch (error) {
        case SUCCESS: return "Success";
        case OUT_OF_MEMORY: return "MemoryAllocation";
        case NO_DEVICE: return "NoDevice";
        case INVALID_DEVICE: return "InvalidDevice";
        case ECC_UNCORRECTABLE: return "ECCUncorrectable";
        case PEER_ACCESS_UNSUPPORTED: return "PeerAccessUnsupported";
        case ILLEGAL_ADDRESS: return "IllegalAddress";
        case LAUNCH_FAILED: return "LaunchFailure";
        case NOT_SUPPORTED: return "NotSupported";
    }
    return "InvalidValue";
}

API const char* cudaGetErrorName(int error) {
    static thread_local char text[64];
    std::snprintf(text, sizeof text, error ? "cudaError%s" : "cuda%s", name_of(error));
    return text;
}
API const char* cudaGetErrorString(int error) { return error == OUT_OF_MEMORY ? "out of memory" : name_of(error); }
API int cudaGetLastError() { return std::exchange(last_error, SUCCESS); }
API int cudaPeekAtLastError() { return last_error; }
API int cudaDriverGetVersion(int* version) { return *version = 13000, SUCCESS; }
API int cudaRuntimeGetVersion(int* version) { return *version = 13000, SUCCESS; }

// Devices.

static bool absent(int device) { return device < 0 || device >= device_count(); }

API int cudaGetDeviceCount(int* count) { return (*count = device_count()) ? SUCCESS : fail(NO_DEVICE); }
API int cudaGetDevice(int* device) { return *device = current_device, SUCCESS; }
API int cudaSetDevice(int device) {
    if (absent(device)) return fail(INVALID_DEVICE);
    current_device = device;
    return SUCCESS;
}
API int cudaDeviceSynchronize() { return wait(); }

API int cudaDeviceGetAttribute(int* value, int attribute, int device) {
    if (absent(device)) return fail(INVALID_DEVICE);
    // By the numbers of cudaDeviceAttr: threads, blocks, shared memory, registers, processors, compute capability.
    static const std::map<int, int> known = {
        {1, 1024}, {2, 1024}, {3, 1024},  {4, 64},  {5, 2147483647}, {6, 65535}, {7, 65535}, {8, 49152},
        {10, 32},  {12, 65536}, {16, 132}, {39, 2048}, {75, 9},      {76, 0},    {81, 233472}, {97, 232448},
    };
    auto found = known.find(attribute);
    *value = found == known.end() ? 0 : found->second;
    return SUCCESS;
}

API int cudaGetDeviceProperties(char* properties, int device) {
    if (absent(device)) return fail(INVALID_DEVICE);
    // By the places in CUDA 13's cudaDeviceProp, a structure of 1,008 bytes that begins with the name.
    std::memset(properties, 0, 1008);
    std::snprintf(properties, 256, "emulated");
    for (auto [place, value] : {std::pair<int, std::size_t>{288, capacity()}, {296, 49152}})
        std::memcpy(properties + place, &value, sizeof value);
    for (auto [place, value] : {std::pair<int, int>{304, 65536}, {308, 32}, {320, 1024}, {324, 1024}, {328, 1024},
                                {332, 64}, {336, 2147483647}, {340, 65535}, {344, 65535}, {360, 9}, {384, 132}})
        std::memcpy(properties + place, &value, sizeof value);
    return SUCCESS;
}
API int cudaDeviceGetPCIBusId(char* text, int size, int device) {
    return std::snprintf(text, std::size_t(size), "0000:%02x:00.0", device + 1), SUCCESS;
}
API int cudaDeviceCanAccessPeer(int* can, int, int) { return *can = 0, SUCCESS; }
API int cudaDeviceEnablePeerAccess(int, unsigned) { return fail(PEER_ACCESS_UNSUPPORTED); }

// Memory.

API int cudaMalloc(void** address, std::size_t size) { return reserve(address, size, current_device); }
API int cudaMallocAsync(void** address, std::size_t size, Handle) { return reserve(address, size, current_device); }
API int cudaHostAlloc(void** address, std::size_t size, unsigned) { return reserve(address, size, HOST); }
API int cudaFree(void* address) { return release(address); }
API int cudaFreeAsync(void* address, Handle) { return release(address); }
API int cudaFreeHost(void* address) { return release(address); }
API int cudaMemGetInfo(std::size_t* left, std::size_t* all) {
    return *all = capacity(), *left = *all - used[current_device], SUCCESS;
}
API int cudaMemcpy(void* to, const void* from, std::size_t size, int direction) {
    int error = wait();
    return error ? error : copy(to, from, size, direction);
}
API int cudaMemcpyAsync(void* to, const void* from, std::size_t size, int direction, Handle) {
    return copy(to, from, size, direction);
}
API int cudaMemcpyPeer(void* to, int, const void* from, int, std::size_t size) { return copy(to, from, size, ON_GPU); }
API int cudaMemcpyPeerAsync(void* to, int, const void* from, int, std::size_t size, Handle) {
    return copy(to, from, size, ON_GPU);
}
API int cudaMemset(void* address, int value, std::size_t size) { return std::memset(address, value, size), SUCCESS; }
API int cudaMemsetAsync(void* address, int value, std::size_t size, Handle) { return cudaMemset(address, value, size); }

API int cudaPointerGetAttributes(void* attributes, const void* address) {
    ALONE;
    enum { UNREGISTERED, ON_HOST, ON_DEVICE };
    struct Attributes {
        int kind, device;
        const void *on_device, *on_host;
    };
    const Block* block = block_of(address);
    bool on_gpu = block && block->device != HOST;
    Attributes found = {!block ? UNREGISTERED : on_gpu ? ON_DEVICE : ON_HOST, on_gpu ? block->device : current_device,
                        block ? address : nullptr, on_gpu ? nullptr : address};
    std::memcpy(attributes, &found, sizeof found);
    return SUCCESS;
}

// Streams and events.

API int cudaStreamCreateWithFlags(Handle* stream, unsigned flags) {
    ALONE;
    *stream = Handle(last_handle += 16);
    stream_flags[*stream] = flags;
    return SUCCESS;
}
API int cudaStreamCreate(Handle* stream) { return cudaStreamCreateWithFlags(stream, 0); }
API int cudaStreamCreateWithPriority(Handle* stream, unsigned flags, int) {
    return cudaStreamCreateWithFlags(stream, flags);
}
API int cudaStreamGetFlags(Handle stream, unsigned* flags) {
    ALONE;
    auto found = stream_flags.find(stream);
    return *flags = found == stream_flags.end() ? 0 : found->second, SUCCESS;
}
API int cudaStreamGetPriority(Handle, int* priority) { return *priority = 0, SUCCESS; }
API int cudaStreamDestroy(Handle) { return SUCCESS; }
API int cudaStreamSynchronize(Handle) { return wait(); }
API int cudaStreamQuery(Handle) { return SUCCESS; }
API int cudaStreamWaitEvent(Handle, Handle, unsigned) { return SUCCESS; }
API int cudaStreamIsCapturing(Handle, int* status) { return *status = 0, SUCCESS; }
API int cudaEventCreateWithFlags(Handle* event, unsigned) {
    ALONE;
    return *event = Handle(last_handle += 16), SUCCESS;
}
API int cudaEventCreate(Handle* event) { return cudaEventCreateWithFlags(event, 0); }
API int cudaEventDestroy(Handle) { return SUCCESS; }
API int cudaEventRecord(Handle, Handle) { return SUCCESS; }
API int cudaEventQuery(Handle) { return SUCCESS; }
API int cudaEventSynchronize(Handle) { return wait(); }
