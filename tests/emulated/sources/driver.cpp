// CUDA's driver: contexts, modules and launches. A module is a shared library, made by compiler.cpp.
#include <dlfcn.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "gpu.h"

typedef void* Handle;

namespace {

struct Kernel {
    void (*run)(const unsigned* shape, int backward, void** arguments);
    std::vector<unsigned> sizes;
    int device;
    bool flushes;
};

struct Module {
    void* library;
    int device;
    std::map<std::string, Kernel> kernels;
};

// What CuPy asks the compiler for in float32: numbers below the smallest normal one are taken and given as zero.
constexpr unsigned FLUSH = 0x8040;

unsigned long long launches;
int backward;

std::size_t length_of(const char* image) {
    std::uint64_t table;
    std::uint16_t size, count;
    std::memcpy(&table, image + 40, sizeof table);
    std::memcpy(&size, image + 58, sizeof size);
    std::memcpy(&count, image + 60, sizeof count);
    return table + std::size_t(size) * count;  // section headers end an ELF file
}

void* opened(const char* image) {
    char path[] = "/tmp/emulated-kernel-XXXXXX";
    int file = mkstemp(path);
    if (file < 0) return nullptr;
    std::size_t length = length_of(image), done = 0;
    while (done < length) {
        ssize_t written = write(file, image + done, length - done);
        if (written <= 0) break;
        done += std::size_t(written);
    }
    close(file);
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) std::fprintf(stderr, "emulated GPU: %s\n", dlerror());
    unlink(path);
    return library;
}

}  // namespace

API unsigned long long emulated_launches() { return launches; }
API void emulated_backward(int whether) { backward = whether; }

API int cuGetErrorName(int error, const char** text) {
    switch (error) {
        case OUT_OF_MEMORY: return *text = "CUDA_ERROR_OUT_OF_MEMORY", SUCCESS;
        case ECC_UNCORRECTABLE: return *text = "CUDA_ERROR_ECC_UNCORRECTABLE", SUCCESS;
        case ILLEGAL_ADDRESS: return *text = "CUDA_ERROR_ILLEGAL_ADDRESS", SUCCESS;
        case LAUNCH_FAILED: return *text = "CUDA_ERROR_LAUNCH_FAILED", SUCCESS;
        case NOT_FOUND: return *text = "CUDA_ERROR_NOT_FOUND", SUCCESS;
        case INVALID_IMAGE: return *text = "CUDA_ERROR_INVALID_IMAGE", SUCCESS;
        case INVALID_HANDLE: return *text = "CUDA_ERROR_INVALID_HANDLE", SUCCESS;
    }
    return *text = "CUDA_ERROR_INVALID_VALUE", SUCCESS;
}
API int cuGetErrorString(int error, const char** text) { return *text = name_of(error), SUCCESS; }

API int cuCtxGetCurrent(Handle* context) { return *context = Handle(std::uintptr_t(current_device + 1)), SUCCESS; }
API int cuCtxSetCurrent(Handle context) { return current_device = int(std::uintptr_t(context)) - 1, SUCCESS; }
API int cuCtxGetDevice(int* device) { return *device = current_device, SUCCESS; }
API int cuStreamGetCtx(Handle, Handle* context) { return cuCtxGetCurrent(context); }

API int cuModuleLoadData(Module** module, const char* image) {
    ALONE;
    void* library = std::memcmp(image, "\177ELF", 4) ? nullptr : opened(image);
    if (!library) return INVALID_IMAGE;
    *module = new Module{library, current_device, {}};
    return SUCCESS;
}
API int cuModuleUnload(Module*) { return SUCCESS; }

API int cuModuleGetFunction(Kernel** kernel, Module* module, const char* name) {
    ALONE;
    auto found = module->kernels.find(name);
    if (found == module->kernels.end()) {
        auto symbol = [&](const char* prefix) { return dlsym(module->library, (prefix + std::string(name)).c_str()); };
        auto run = reinterpret_cast<decltype(Kernel::run)>(symbol("emulated_run_"));
        auto sizes = reinterpret_cast<int (*)(unsigned*)>(symbol("emulated_sizes_"));
        auto flushes = static_cast<const bool*>(dlsym(module->library, "emulated_flushes"));
        if (!run || !sizes || !flushes) return NOT_FOUND;
        unsigned bytes[256];
        int count = sizes(bytes);
        Kernel made = {run, {bytes, bytes + count}, module->device, *flushes};
        found = module->kernels.emplace(name, made).first;
    }
    *kernel = &found->second;
    return SUCCESS;
}
API int cuFuncGetAttribute(int* value, int attribute, Kernel*) { return *value = attribute ? 0 : 1024, SUCCESS; }
API int cuFuncSetAttribute(Kernel*, int, int) { return SUCCESS; }
API int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel*, int, std::size_t) {
    return *blocks = 2, SUCCESS;
}

API int cuLaunchKernel(Kernel* kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned x, unsigned y,
                       unsigned z, unsigned, Handle, void** arguments, void**) {
    ALONE;
    const unsigned shape[] = {grid_x, grid_y, grid_z, x, y, z};
    for (unsigned extent : shape)
        if (!extent) return INVALID_VALUE;
    if (x * y * z > 1024) return INVALID_VALUE;
    if (int error = failure()) return error;
    if (kernel->device != current_device) return INVALID_HANDLE;
    for (std::size_t i = 0; i < kernel->sizes.size(); i++) {
        if (kernel->sizes[i] < sizeof(void*)) continue;
        void* first;  // CuPy's arrays begin with their address
        std::memcpy(&first, arguments[i], sizeof first);
        int device = device_of(first);
        if (device >= 0 && device != current_device) return ILLEGAL_ADDRESS;
    }
    launches++;
    unsigned before = _mm_getcsr();
    if (kernel->flushes) _mm_setcsr(before | FLUSH);
    kernel->run(shape, backward, arguments);
    _mm_setcsr(before);
    return SUCCESS;
}
