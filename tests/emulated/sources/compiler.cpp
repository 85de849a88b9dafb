// NVRTC: CUDA's compiler in the process. Kernels go to this machine's C++ compiler, and become a shared library each.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include "gpu.h"

namespace {

enum { DONE = 0, COMPILATION = 6 };

struct Program {
    std::string source, log, image;
};

std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

// Behind the source: the kernels' entries, by the names that driver.cpp asks for.
std::string entries(const std::string& source, bool flushes) {
    static const std::regex kernel(R"(extern\s+"C"\s+__global__\s+void\s+(\w+)\s*\()");
    static const std::regex barrier("__sync|__shfl");
    const std::string barriers = std::regex_search(source, barrier) ? "true" : "false";
    const std::string visible = "\nextern \"C\" __attribute__((visibility(\"default\"))) ";
    // Flushing is by type on a GPU; here it is for a whole launch, so kernels with float64 go without.
    flushes = flushes && source.find("CArray<double") == std::string::npos && source.find("double real") == std::string::npos;
    std::string text = visible + "const bool emulated_flushes = " + (flushes ? "true" : "false") + ";";
    for (std::sregex_iterator found(source.begin(), source.end(), kernel), end; found != end; ++found) {
        const std::string name = (*found)[1];
        text += visible + "void emulated_run_" + name + "(const unsigned* shape, int backward, void** values) { "
                "emulation::run<&" + name + ", " + barriers + ">(shape, backward, values); }";
        text += visible + "int emulated_sizes_" + name + "(unsigned* found) { return emulation::sizes(&" + name +
                ", found); }\n";
    }
    return text;
}

}  // namespace

API const char* nvrtcGetErrorString(int error) { return error ? "NVRTC_ERROR_COMPILATION" : "NVRTC_SUCCESS"; }
API int nvrtcVersion(int* major, int* minor) { return *major = 13, *minor = 0, DONE; }
API int nvrtcGetNumSupportedArchs(int* count) { return *count = 1, DONE; }
API int nvrtcGetSupportedArchs(int* found) { return *found = 90, DONE; }
API int nvrtcCreateProgram(Program** program, const char* source, const char*, int, const char**, const char**) {
    *program = new Program{source, "", ""};
    return DONE;
}
API int nvrtcDestroyProgram(Program** program) {
    delete *program;
    *program = nullptr;
    return DONE;
}
API int nvrtcAddNameExpression(Program*, const char*) { return COMPILATION; }
API int nvrtcGetLoweredName(Program*, const char*, const char**) { return COMPILATION; }

API int nvrtcCompileProgram(Program* program, int count, const char** options) {
    const bool own = program->source.find("#include <cupy/") != std::string::npos;
    std::string command = std::string(std::getenv("EMULATED_GPU_COMPILER")) + " -include '" +
                          std::getenv("EMULATED_GPU_HEADERS") + (own ? "/cupy.h'" : "/raw.h'");
    bool flushes = false;
    for (int i = 0; i < count; i++) {
        const std::string option = options[i];
        flushes = flushes || option == "-ftz=true";
        if (option.rfind("-D", 0) == 0) command += " '" + option + "'";
    }
    char name[] = "/tmp/emulated-compiler-XXXXXX";
    if (!mkdtemp(name)) return COMPILATION;
    const std::filesystem::path folder = name;
    std::ofstream(folder / "kernel.cpp") << program->source << entries(program->source, flushes);
    command += " -shared '" + (folder / "kernel.cpp").string() + "' -o '" + (folder / "kernel.so").string() + "' > '" +
               (folder / "log").string() + "' 2>&1";
    bool failed = std::system(command.c_str()) != 0;
    program->log = read(folder / "log");
    if (!failed) program->image = read(folder / "kernel.so");
    std::filesystem::remove_all(folder);
    return failed ? COMPILATION : DONE;
}

API int nvrtcGetProgramLogSize(Program* program, std::size_t* size) { return *size = program->log.size() + 1, DONE; }
API int nvrtcGetProgramLog(Program* program, char* text) {
    return std::memcpy(text, program->log.c_str(), program->log.size() + 1), DONE;
}
API int nvrtcGetCUBINSize(Program* program, std::size_t* size) { return *size = program->image.size(), DONE; }
API int nvrtcGetCUBIN(Program* program, char* image) {
    return std::memcpy(image, program->image.data(), program->image.size()), DONE;
}
// CuPy asks for an empty program's PTX, to know one compiler from another in its cache.
API int nvrtcGetPTXSize(Program* program, std::size_t* size) { return *size = program->source.size() + 1, DONE; }
API int nvrtcGetPTX(Program* program, char* text) {
    return std::memcpy(text, program->source.c_str(), program->source.size() + 1), DONE;
}
