// libnvrtc: compiles kernels with g++ to what the emulated driver loads. Without what threads wait for on one line of a
// file, where EMULATOR_WITHOUT=file:line says so: `mutate` sees whether a test finds that.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

enum Status { SUCCESS = 0, OUT_OF_MEMORY = 1, INVALID_INPUT = 3, COMPILATION = 6 };

struct Program {
    std::string name, code, log, image;
    std::map<std::string, std::string> headers;
};

std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Where this library and the emulator's headers lie.
fs::path home() {
    return getenv("EMULATOR_HOME");
}

// Runs g++; false if it finds fault, which is in the log then.
bool run(Program& program, const fs::path& folder, const std::string& arguments) {
    const fs::path log = folder / "log";
    const std::string command = "cd " + folder.string() + " && g++ " + arguments + " > " + log.string() + " 2>&1";
    const int status = system(command.c_str());
    program.log += read(log);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// The file's text, less what EMULATOR_WITHOUT takes out of it.
std::string without(const std::string& name, const std::string& text) {
    const char* wanted = getenv("EMULATOR_WITHOUT");
    const std::string place = wanted == nullptr ? "" : wanted;
    if (place.rfind(name + ":", 0) != 0) return text;
    size_t start = 0;
    for (int line = atoi(place.c_str() + name.size() + 1); line > 1; --line) start = text.find('\n', start) + 1;
    const size_t end = text.find('\n', start);
    const std::regex wait("(__syncthreads|__syncwarp|arrived<.*>)\\(\\);");
    return text.substr(0, start) + std::regex_replace(text.substr(start, end - start), wait, ";") + text.substr(end);
}

Status compile(Program& program, const fs::path& folder) {
    for (const auto& [name, text] : program.headers) std::ofstream(folder / name) << without(name, text);
    std::ofstream(folder / "kernels.cpp") << "#include \"device.h\"\n#line 1 \"" << program.name << "\"\n"
                                          << without(program.name, program.code);
    const std::string common = "-std=c++17 -O3 -march=native -ffp-contract=fast -fPIC -Wno-unknown-pragmas -I" +
                               (home() / "source").string() + " -I. ";
    if (!run(program, folder, common + "-E kernels.cpp -o expanded.cpp")) return COMPILATION;
    std::string expanded = read(folder / "expanded.cpp");
    const std::regex kernel("EMULATOR_GLOBAL\\s+(?:void\\s+)?(\\w+)\\s*\\(");
    std::ostringstream doors;
    doors << "\n#line 1 \"doors\"\n";
    for (std::sregex_iterator found(expanded.begin(), expanded.end(), kernel), end; found != end; ++found) {
        const std::string name = (*found)[1];
        doors << "extern \"C\" void emulator_call_" << name << "(void** given) { emulator_call(" << name << ", given); }\n"
              << "extern \"C\" size_t emulator_copy_" << name << "(void** given, unsigned char* copy) { return emulator_copy("
              << name << ", given, copy); }\n";
    }
    std::ofstream(folder / "whole.cpp") << expanded << doors.str();
    const std::string link = "-shared -DEMULATOR_GLOBAL= whole.cpp -o kernels.so -L" + home().string() + " -l:libcuda.so";
    if (!run(program, folder, common + link)) return COMPILATION;
    const std::string library = read(folder / "kernels.so");
    const uint64_t size = library.size();
    // an ELF file by its first bytes, as a cubin is; the rest is for driver.cpp alone
    program.image = std::string("\x7f" "ELFemu", 7) + '\0';
    program.image.append(reinterpret_cast<const char*>(&size), 8).append(library);
    return SUCCESS;
}

}  // namespace

#define API extern "C" __attribute__((visibility("default")))

API Status nvrtcVersion(int* major, int* minor) { return *major = 0, *minor = 0, SUCCESS; }
API const char* nvrtcGetErrorString(Status status) {
    return status == COMPILATION ? "NVRTC_ERROR_COMPILATION" : "an error of the emulator";
}
API Status nvrtcCreateProgram(Program** made, const char* code, const char* name, int count, const char* const* codes,
                              const char* const* names) {
    *made = new Program{name, code, {}, {}, {}};
    for (int i = 0; i < count; ++i) (*made)->headers[names[i]] = codes[i];
    return SUCCESS;
}
API Status nvrtcCompileProgram(Program* program, int, const char* const*) {
    std::string pattern = (fs::temp_directory_path() / "pspo-emulator-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return OUT_OF_MEMORY;
    const Status status = compile(*program, pattern);
    fs::remove_all(pattern);
    // the place as NVRTC writes it: file(line)
    program->log = std::regex_replace(program->log, std::regex("(\\w+\\.cuh?):(\\d+)"), "$1($2)");
    return status;
}
API Status nvrtcGetProgramLogSize(Program* program, size_t* size) { return *size = program->log.size() + 1, SUCCESS; }
API Status nvrtcGetProgramLog(Program* program, char* log) { return strcpy(log, program->log.c_str()), SUCCESS; }
API Status nvrtcGetCUBINSize(Program* program, size_t* size) { return *size = program->image.size(), SUCCESS; }
API Status nvrtcGetCUBIN(Program* program, char* image) {
    return memcpy(image, program->image.data(), program->image.size()), SUCCESS;
}
API Status nvrtcDestroyProgram(Program** program) { return delete *program, *program = nullptr, SUCCESS; }
