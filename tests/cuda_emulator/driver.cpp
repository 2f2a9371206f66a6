// libcuda: the part of the CUDA driver's interface that pspo uses, for a device of one's own making.
//
// Calls run where they are queued. The threads of a block are fibers on one thread of the host, which change at barriers
// and warp collectives alone, and a warp runs ahead of the others until it must wait for them: so what a kernel forgets to
// wait for shows as another result, in one order of warps or in another (EMULATOR_ORDER=forward, reverse or a number that
// seeds an order). An allocation holds NaNs at first and
// ends at a page that cannot be touched. A "cubin" is a shared library, made by nvrtc.cpp.
#include "emulator.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#ifndef __x86_64__
#error "fibers change by assembly of x86-64"
#endif

using Status = int;
enum : Status {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900,
};

// ---- fibers --------------------------------------------------------------------------------------------------------

extern "C" {
dim3 threadIdx, blockIdx, blockDim, gridDim;
void emulator_switch(void** save, void* load);
}

asm(R"(
.text
.globl emulator_switch
.type emulator_switch, @function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulator_switch, . - emulator_switch
)");

namespace {

constexpr size_t STACK = 64 << 10;
constexpr unsigned WARP = 32;
constexpr size_t STATIC_SHARED = 48 << 10, DYNAMIC_SHARED = 227 << 10;

enum class State { ready, at_warp, at_block, ended };

struct Fiber {
    void* stack_pointer;
    dim3 index;
    State state;
    unsigned lane, warp;
};

struct Warp {
    // Two rounds: a lane of the next one may write while others still read.
    alignas(64) unsigned char slots[2][WARP * SLOT];
    unsigned round, arrived, alive;
};

struct Kernel {
    std::string name;
    void (*call)(void**);
    size_t (*copy)(void**, unsigned char*);
    size_t dynamic_shared = STATIC_SHARED;
};

std::recursive_mutex device;           // one call at a time
thread_local void* bound = nullptr;  // the thread's context
std::vector<Fiber> fibers;
std::vector<Warp> warps;
std::vector<unsigned> order;
unsigned char* stacks = nullptr;
size_t stack_count = 0;
void* scheduler;
unsigned current, alive, at_block;
unsigned long long blocks = 0;
const Kernel* running = nullptr;
void** arguments;
const char* failure;
std::vector<unsigned char> dynamic_shared;

void fiber_main() {
    running->call(arguments);
    Fiber& self = fibers[current];
    self.state = State::ended;
    --alive;
    --warps[self.warp].alive;
    void* nowhere;
    emulator_switch(&nowhere, scheduler);
    abort();
}

void wait(State state) {
    Fiber& self = fibers[current];
    self.state = state;
    emulator_switch(&self.stack_pointer, scheduler);
}

void release(State state, unsigned first, unsigned end) {
    for (unsigned i = first; i < end; ++i) {
        if (fibers[i].state == state) fibers[i].state = State::ready;
    }
}

// The threads warp by warp, in the order that is wanted of warps and of the lanes of each.
void make_order(unsigned threads) {
    const char* wanted = getenv("EMULATOR_ORDER");
    const std::string name = wanted == nullptr ? "forward" : wanted;
    std::mt19937 random(strtoul(name.c_str(), nullptr, 10));
    const auto arrange = [&](std::vector<unsigned>& all) {
        if (name == "reverse") std::reverse(all.begin(), all.end());
        if (name != "reverse" && name != "forward") std::shuffle(all.begin(), all.end(), random);
    };
    std::vector<unsigned> of_warps((threads + WARP - 1) / WARP);
    for (unsigned w = 0; w < of_warps.size(); ++w) of_warps[w] = w;
    arrange(of_warps);
    order.clear();
    for (const unsigned w : of_warps) {
        std::vector<unsigned> lanes;
        for (unsigned i = w * WARP; i < std::min(threads, (w + 1) * WARP); ++i) lanes.push_back(i);
        arrange(lanes);
        order.insert(order.end(), lanes.begin(), lanes.end());
    }
}

void run_block() {
    const unsigned threads = fibers.size();
    alive = threads;
    at_block = 0;
    ++blocks;
    for (auto& warp : warps) warp.round = warp.arrived = warp.alive = 0;
    for (unsigned i = 0; i < threads; ++i) {
        Fiber& fiber = fibers[i];
        fiber.state = State::ready;
        ++warps[fiber.warp].alive;
        // as if it had been left just before its first instruction; the stack is aligned as at a call
        auto* top = reinterpret_cast<void**>(stacks + (i + 1) * STACK) - 2;
        *top = reinterpret_cast<void*>(&fiber_main);
        fiber.stack_pointer = top - 6;
    }
    memset(dynamic_shared.data(), 0xff, dynamic_shared.size());
    while (alive > 0 && failure == nullptr) {
        bool moved = false;
        // a warp runs ahead until all of it waits at a barrier: what it does not wait for it finds undone, or undoes
        for (size_t place = 0; place < order.size();) {
            bool again = false;
            const size_t first = place, warp = fibers[order[first]].warp;
            for (; place < order.size() && fibers[order[place]].warp == warp; ++place) {
                Fiber& fiber = fibers[order[place]];
                if (fiber.state != State::ready) continue;
                moved = again = true;
                current = order[place];
                threadIdx = fiber.index;
                emulator_switch(&scheduler, fiber.stack_pointer);
                if (failure != nullptr) return;
                if (at_block > 0 && at_block == alive) {
                    at_block = 0;
                    release(State::at_block, 0, threads);
                }
            }
            if (again) place = first;
        }
        if (!moved) failure = "its threads wait for one another: a barrier that not all of them reach";
    }
}

Status launch(const Kernel& kernel, dim3 grid, dim3 block, size_t shared, void** given) {
    const size_t threads = size_t(block.x) * block.y * block.z;
    if (threads == 0 || threads > 1024 || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535) {
        fprintf(stderr, "emulator: %s: a grid of %u x %u x %u blocks of %zu threads\n", kernel.name.c_str(), grid.x,
                grid.y, grid.z, threads);
        return INVALID_VALUE;
    }
    if (shared > kernel.dynamic_shared) {
        fprintf(stderr, "emulator: %s: %zu bytes of shared memory, of %zu allowed\n", kernel.name.c_str(), shared,
                kernel.dynamic_shared);
        return INVALID_VALUE;
    }
    if (stack_count < threads) {
        if (stacks != nullptr) munmap(stacks, stack_count * STACK);
        stacks = static_cast<unsigned char*>(
            mmap(nullptr, threads * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        stack_count = threads;
    }
    if (fibers.size() != threads || blockDim.x != block.x || blockDim.y != block.y) {
        fibers.resize(threads);
        warps.resize((threads + WARP - 1) / WARP);
        make_order(threads);
        for (unsigned i = 0; i < threads; ++i) {
            fibers[i].index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
            fibers[i].lane = i % WARP;
            fibers[i].warp = i / WARP;
        }
    }
    running = &kernel;
    arguments = given;
    failure = nullptr;
    gridDim = grid;
    blockDim = block;
    dynamic_shared.resize(shared);
    for (unsigned z = 0; z < grid.z && failure == nullptr; ++z) {
        for (unsigned y = 0; y < grid.y && failure == nullptr; ++y) {
            for (unsigned x = 0; x < grid.x && failure == nullptr; ++x) {
                blockIdx = {x, y, z};
                run_block();
            }
        }
    }
    running = nullptr;
    if (failure == nullptr) return SUCCESS;
    fprintf(stderr, "emulator: %s: block (%u, %u, %u), thread (%u, %u, %u): %s\n", kernel.name.c_str(), blockIdx.x,
            blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, failure);
    return LAUNCH_FAILED;
}

}  // namespace

extern "C" void emulator_sync_threads() {
    if (at_block + 1 == alive) {
        // the last to come: it need not leave
        at_block = 0;
        release(State::at_block, 0, fibers.size());
        return;
    }
    ++at_block;
    wait(State::at_block);
}

extern "C" const unsigned char* emulator_exchange(unsigned mask, const void* shown, size_t size) {
    Fiber& self = fibers[current];
    Warp& warp = warps[self.warp];
    if (mask != 0xffffffffu) emulator_fail("a collective of a part of a warp is not emulated");
    const unsigned lanes = std::min<size_t>(WARP, fibers.size() - self.warp * WARP);
    if (warp.alive != lanes) emulator_fail("a collective of a whole warp of which a lane has ended");
    unsigned char* slots = warp.slots[warp.round % 2];
    memcpy(slots + self.lane * SLOT, shown, size);
    if (++warp.arrived == lanes) {
        warp.arrived = 0;
        ++warp.round;
        release(State::at_warp, self.warp * WARP, self.warp * WARP + lanes);
    } else {
        wait(State::at_warp);
    }
    return slots;
}

extern "C" unsigned long long emulator_block() { return blocks; }

extern "C" void* emulator_dynamic_shared() { return dynamic_shared.data(); }

extern "C" void emulator_fail(const char* why) {
    failure = why;
    void* nowhere;
    emulator_switch(&nowhere, scheduler);
    abort();
}

// ---- memory --------------------------------------------------------------------------------------------------------

namespace {

struct Allocation {
    unsigned char* pages;
    size_t mapped, size;
};

constexpr size_t PAGE = 4096, ALIGNMENT = 16;
constexpr unsigned char POISON = 0xff;
std::map<uint64_t, Allocation> allocations;
size_t used = 0;

size_t total() {
    const char* limit = getenv("EMULATOR_MEMORY");
    return limit ? strtoull(limit, nullptr, 10) : size_t(16) << 30;
}

Status allocate(uint64_t* pointer, size_t size) {
    if (size == 0) return INVALID_VALUE;
    if (used + size > total()) return OUT_OF_MEMORY;
    const size_t padded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const size_t whole = (padded + PAGE - 1) / PAGE * PAGE;
    void* pages = mmap(nullptr, whole + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return OUT_OF_MEMORY;
    auto* bytes = static_cast<unsigned char*>(pages);
    mprotect(bytes + whole, PAGE, PROT_NONE);
    memset(bytes, POISON, whole);
    *pointer = reinterpret_cast<uint64_t>(bytes + whole - padded);
    allocations[*pointer] = {bytes, whole + PAGE, size};
    used += size;
    return SUCCESS;
}

Status release_memory(uint64_t pointer) {
    const auto found = allocations.find(pointer);
    if (found == allocations.end()) return INVALID_VALUE;
    const auto [pages, mapped, size] = found->second;
    auto* start = reinterpret_cast<unsigned char*>(pointer);
    bool whole = std::all_of(pages, start, [](unsigned char byte) { return byte == POISON; });
    whole &= std::all_of(start + size, pages + mapped - PAGE, [](unsigned char byte) { return byte == POISON; });
    if (!whole) {
        fprintf(stderr, "emulator: something was written beside an allocation of %zu bytes\n", size);
        abort();
    }
    munmap(pages, mapped);
    used -= size;
    allocations.erase(found);
    return SUCCESS;
}

void on_fault(int, siginfo_t* info, void*) {
    if (running != nullptr) {
        fprintf(stderr, "emulator: %s: block (%u, %u, %u), thread (%u, %u, %u): address %p is none of the device's\n",
                running->name.c_str(), blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z,
                info->si_addr);
    }
    signal(SIGSEGV, SIG_DFL);
}

// ---- streams and graphs --------------------------------------------------------------------------------------------

using Work = std::function<Status()>;
struct Graph {
    std::vector<Work> work;
};
struct Stream {
    void* context;
    std::unique_ptr<Graph> captured = nullptr;  // while it captures
};
thread_local unsigned capturing = 0;  // streams of this thread that do

Graph* captured_by(void* stream) { return stream == nullptr ? nullptr : static_cast<Stream*>(stream)->captured.get(); }

// Runs work now, or later with its stream's graph.
Status queue(void* stream, Work work) {
    if (Graph* graph = captured_by(stream); graph != nullptr) {
        graph->work.push_back(std::move(work));
        return SUCCESS;
    }
    return work();
}

Status copy(void* stream, uint64_t to, uint64_t from, size_t size) {
    return queue(stream, [=] {
        memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), size);
        return SUCCESS;
    });
}

struct Module {
    void* library;
    std::map<std::string, Kernel> kernels;
};

}  // namespace

extern "C" bool emulator_bound(const void* stream) {
    return bound != nullptr && (stream == nullptr || static_cast<const Stream*>(stream)->context == bound);
}

extern "C" void emulator_enqueue(void* stream, void (*run)(const void*), const void* data, size_t size) {
    std::lock_guard lock(device);
    std::vector<unsigned char> kept(size);
    memcpy(kept.data(), data, size);
    queue(stream, [run, kept] {
        run(kept.data());
        return SUCCESS;
    });
}

// ---- the driver's interface ----------------------------------------------------------------------------------------

#define API extern "C" __attribute__((visibility("default"))) Status
#define ONE_AT_A_TIME std::lock_guard lock(device)
// a call of a thread that has not turned to the stream's device
#define NEEDS_CONTEXT(stream) \
    if (!emulator_bound(stream)) return INVALID_CONTEXT

API cuInit(unsigned) {
    ONE_AT_A_TIME;
    static bool watched = false;
    if (!watched) {
        watched = true;
        // on a stack of its own: the fault may be on a fiber's, and Rust has its handler on one as well
        struct sigaction action = {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(SIGSEGV, &action, nullptr);
    }
    return SUCCESS;
}
API cuDriverGetVersion(int* version) {
    const char* wanted = getenv("EMULATOR_DRIVER");
    return *version = wanted ? atoi(wanted) : 13000, SUCCESS;
}
API cuDeviceGetCount(int* count) {
    const char* wanted = getenv("EMULATOR_DEVICES");
    return *count = wanted ? atoi(wanted) : 2, SUCCESS;
}
API cuDeviceGet(int* found, int ordinal) {
    int count;
    cuDeviceGetCount(&count);
    if (ordinal < 0 || ordinal >= count) return INVALID_DEVICE;
    return *found = ordinal, SUCCESS;
}
API cuDeviceGetName(char* name, int len, int) { return snprintf(name, len, "emulated"), SUCCESS; }
API cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = total(), SUCCESS; }
API cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 16: *value = 132; break;             // multiprocessors
        case 75: *value = 9; break;               // compute capability, major
        case 76: *value = 0; break;               // and minor
        case 97: *value = DYNAMIC_SHARED; break;  // shared memory of a block, if asked for
        case 115: *value = 1; break;              // memory pools
        default: return INVALID_VALUE;
    }
    return SUCCESS;
}
API cuDevicePrimaryCtxRetain(void** context, int ordinal) {
    return *context = reinterpret_cast<void*>(intptr_t(ordinal + 1)), SUCCESS;
}
API cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
API cuCtxSetCurrent(void* context) { return bound = context, SUCCESS; }
API cuCtxGetCurrent(void** context) { return *context = bound, SUCCESS; }
API cuCtxSynchronize() { return SUCCESS; }

API cuMemAlloc_v2(uint64_t* pointer, size_t size) {
    NEEDS_CONTEXT(nullptr);
    ONE_AT_A_TIME;
    return allocate(pointer, size);
}
API cuMemAllocAsync(uint64_t* pointer, size_t size, void* stream) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    if (capturing > 0) return NOT_SUPPORTED;  // a graph of ours allocates nothing
    return allocate(pointer, size);
}
API cuMemFree_v2(uint64_t pointer) {
    ONE_AT_A_TIME;
    return release_memory(pointer);
}
API cuMemFreeAsync(uint64_t pointer, void* stream) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    return release_memory(pointer);
}
API cuMemGetInfo_v2(size_t* free, size_t* all) {
    ONE_AT_A_TIME;
    *all = total();
    return *free = *all - std::min(*all, used), SUCCESS;
}
API cuDeviceGetDefaultMemPool(void** pool, int) { return *pool = nullptr, SUCCESS; }
API cuMemPoolSetAttribute(void*, int, void*) { return SUCCESS; }
API cuMemHostAlloc(void** pointer, size_t size, unsigned) {
    NEEDS_CONTEXT(nullptr);
    return (*pointer = malloc(size)) == nullptr ? OUT_OF_MEMORY : SUCCESS;
}
API cuMemFreeHost(void* pointer) { return free(pointer), SUCCESS; }
API cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t size) {
    ONE_AT_A_TIME;
    return memcpy(reinterpret_cast<void*>(to), from, size), SUCCESS;
}
API cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t size, void* stream) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    return copy(stream, to, reinterpret_cast<uint64_t>(from), size);
}
API cuMemcpyDtoH_v2(void* to, uint64_t from, size_t size) {
    ONE_AT_A_TIME;
    return memcpy(to, reinterpret_cast<const void*>(from), size), SUCCESS;
}
API cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t size, void* stream) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    return copy(stream, reinterpret_cast<uint64_t>(to), from, size);
}
API cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void* stream) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    return copy(stream, to, from, size);
}
API cuMemsetD8Async(uint64_t to, unsigned char byte, size_t size, void* stream) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    return queue(stream, [=] { return memset(reinterpret_cast<void*>(to), byte, size), SUCCESS; });
}

API cuModuleLoadData(void** loaded, const void* image) {
    NEEDS_CONTEXT(nullptr);
    ONE_AT_A_TIME;
    // "size of the image" is not said: nvrtc.cpp puts it before the library
    const auto* header = static_cast<const char*>(image);
    uint64_t size;
    if (memcmp(header, "\x7f" "ELFemu", 8) != 0) return INVALID_IMAGE;
    memcpy(&size, header + 8, 8);
    // loaded once and for all: it is small, and a graph may still call it when its module is gone
    static std::map<std::string, void*> libraries;
    void*& library = libraries[std::string(header + 16, size)];
    if (library == nullptr) {
        const int file = memfd_create("kernels", 0);
        if (file < 0 || write(file, header + 16, size) != ssize_t(size)) return OUT_OF_MEMORY;
        // the file stays open: under its number another one would be taken for the same library
        const std::string path = "/proc/self/fd/" + std::to_string(file);
        library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) {
            fprintf(stderr, "emulator: %s\n", dlerror());
            return INVALID_IMAGE;
        }
    }
    *loaded = new Module{library, {}};
    return SUCCESS;
}
API cuModuleUnload(void* given) {
    ONE_AT_A_TIME;
    return delete static_cast<Module*>(given), SUCCESS;
}
API cuModuleGetFunction(void** found, void* given, const char* name) {
    ONE_AT_A_TIME;
    auto* module = static_cast<Module*>(given);
    const std::string call = std::string("emulator_call_") + name, copy = std::string("emulator_copy_") + name;
    auto [place, fresh] = module->kernels.try_emplace(name);
    if (fresh) {
        Kernel& kernel = place->second;
        kernel.name = name;
        kernel.call = reinterpret_cast<decltype(kernel.call)>(dlsym(module->library, call.c_str()));
        kernel.copy = reinterpret_cast<decltype(kernel.copy)>(dlsym(module->library, copy.c_str()));
        if (kernel.call == nullptr || kernel.copy == nullptr) {
            module->kernels.erase(place);
            return NOT_FOUND;
        }
    }
    return *found = &place->second, SUCCESS;
}
API cuFuncSetAttribute(void* function, int attribute, int value) {
    NEEDS_CONTEXT(nullptr);
    ONE_AT_A_TIME;
    if (attribute != 8 || value < 0 || size_t(value) > DYNAMIC_SHARED) return INVALID_VALUE;
    return static_cast<Kernel*>(function)->dynamic_shared = value, SUCCESS;
}
API cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** given, void** extra) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    if (extra != nullptr) return NOT_SUPPORTED;
    const auto& kernel = *static_cast<Kernel*>(function);
    std::vector<unsigned char> values(kernel.copy(given, nullptr));
    kernel.copy(given, values.data());
    return queue(stream, [=, &kernel] {
        // each argument has 16 bytes of its own there
        std::vector<void*> pointers;
        for (size_t place = 0; place < values.size(); place += 16) {
            pointers.push_back(const_cast<unsigned char*>(values.data()) + place);
        }
        return launch(kernel, {gx, gy, gz}, {bx, by, bz}, shared, pointers.data());
    });
}

API cuStreamCreate(void** stream, unsigned) {
    NEEDS_CONTEXT(nullptr);
    return *stream = new Stream{bound}, SUCCESS;
}
API cuStreamDestroy_v2(void* stream) { return delete static_cast<Stream*>(stream), SUCCESS; }
API cuStreamSynchronize(void* stream) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    return capturing == 0 ? SUCCESS : NOT_SUPPORTED;
}
API cuStreamWaitEvent(void*, void*, unsigned) { return SUCCESS; }
API cuStreamBeginCapture_v2(void* stream, int) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    if (stream == nullptr) return CAPTURE_UNSUPPORTED;  // as the driver does
    static_cast<Stream*>(stream)->captured = std::make_unique<Graph>();
    ++capturing;
    return SUCCESS;
}
API cuStreamEndCapture(void* stream, void** graph) {
    ONE_AT_A_TIME;
    *graph = static_cast<Stream*>(stream)->captured.release();
    --capturing;
    return SUCCESS;
}
API cuStreamIsCapturing(void* stream, int* status) {
    ONE_AT_A_TIME;
    return *status = captured_by(stream) != nullptr, SUCCESS;
}
API cuGraphInstantiateWithFlags(void** ready, void* graph, unsigned long long) {
    return *ready = new Graph(*static_cast<Graph*>(graph)), SUCCESS;
}
API cuGraphUpload(void*, void*) { return SUCCESS; }
API cuGraphLaunch(void* ready, void* stream) {
    NEEDS_CONTEXT(stream);
    ONE_AT_A_TIME;
    for (const Work& work : static_cast<Graph*>(ready)->work) {
        if (const Status status = work(); status != SUCCESS) return status;
    }
    return SUCCESS;
}
API cuGraphDestroy(void* graph) { return delete static_cast<Graph*>(graph), SUCCESS; }
API cuGraphExecDestroy(void* ready) { return delete static_cast<Graph*>(ready), SUCCESS; }

API cuEventCreate(void** event, unsigned) { return *event = malloc(1), SUCCESS; }
API cuEventDestroy_v2(void* event) { return free(event), SUCCESS; }
API cuEventRecord(void*, void*) { return SUCCESS; }
API cuEventSynchronize(void*) { return SUCCESS; }
API cuEventQuery(void*) { return SUCCESS; }

API cuGetErrorName(Status, const char** name) { return *name = "an error of the emulator", SUCCESS; }
API cuGetErrorString(Status status, const char** text) {
    switch (status) {
        case OUT_OF_MEMORY: *text = "out of memory"; break;
        case LAUNCH_FAILED: *text = "unspecified launch failure"; break;
        default: *text = "see the emulator's message"; break;
    }
    return SUCCESS;
}
