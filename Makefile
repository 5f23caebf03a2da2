# tp: pipeline-parallel training on one machine, one process per stage.
#
#   make run     install what is missing, build, train configs/resnet.ini
#   make test    install what is missing, build, pass every test
#
# make help lists the rest. Objects go to $(BUILD); nothing else is written into the tree.

BUILD  ?= build
PREFIX ?= /usr/local
CONFIG ?= configs/resnet.ini
ARCH   ?= native
OPT    ?= -O3
CC     ?= cc

# The CUDA backend is built where nvcc is found. CUDA=0: never; CUDA=1: or it is an error.
# CUDA_ARCH: compute capabilities to compile for, such as "75 86 90"; newer GPUs run what the newest one can.
CUDA      ?= auto
CUDA_HOME ?= /usr/local/cuda
CUDA_ARCH ?= 90

PACKAGES := pkg-config g++ libdnnl-dev libinih-dev libjansson-dev zlib1g-dev libncurses-dev check dataset-fashion-mnist

LIBRARIES := inih jansson zlib
DIRS      := base device model kernels kernels/reference kernels/onednn data schedule plan board transport telemetry stages coordinator monitor
PROGRAMS  := tpcoord tpstage tpmon
MAINS     := coordinator/main.c stages/main.c monitor/main.c

WARNINGS := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wdouble-promotion -Wno-format-nonliteral
SANITIZE ?=
SANITIZE_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)

# Contraction is off so that the same source gives the same bits wherever a kernel is inlined.
CFLAGS   ?= $(OPT) -g -march=$(ARCH)
CPPFLAGS += -D_GNU_SOURCE -I.
ALL_CFLAGS = -std=c11 -ffp-contract=off -pthread $(WARNINGS) $(CFLAGS) $(SANITIZE_FLAGS)
LDLIBS    := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null) -ldnnl -lm -lrt -pthread
CPPFLAGS := $(CPPFLAGS) $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null)

# Files that include CUDA's headers. They are compiled for a GPU, and once more for the tests' double of one (tests/gpu).
CUDA_SOURCES := device/cuda.c $(wildcard kernels/cuda/*.c kernels/cuda/*.cu)
NVCC      := $(if $(filter-out 0,$(CUDA)),$(firstword $(wildcard $(CUDA_HOME)/bin/nvcc) $(shell command -v nvcc)))
CUDA_ROOT := $(patsubst %/bin/nvcc,%,$(NVCC))
ifeq ($(CUDA)$(NVCC),1)
$(error CUDA=1, but there is no nvcc in $(CUDA_HOME)/bin or the PATH; say where with CUDA_HOME=)
endif
CUDA_OBJECTS := $(if $(NVCC),$(CUDA_SOURCES:%=$(BUILD)/cuda/%.o))
CUDA_LIBS    := $(if $(NVCC),-L$(CUDA_ROOT)/lib64 -Xlinker -rpath -Xlinker $(CUDA_ROOT)/lib64 -lcudart_static -lstdc++ -ldl)
CUDA_FLAGS   := -std=c++17 -O3 -I. -Werror all-warnings -Xcompiler -Wall,-Wextra \
                $(foreach arch,$(CUDA_ARCH),-gencode arch=compute_$(arch),code=sm_$(arch)) \
                -gencode arch=compute_$(lastword $(CUDA_ARCH)),code=compute_$(lastword $(CUDA_ARCH))

DOUBLE_OBJECTS := $(CUDA_SOURCES:%=$(BUILD)/double/%.o) $(patsubst %.cpp,$(BUILD)/double/%.o,$(wildcard tests/gpu/*.cpp))
DOUBLE_TESTS   := test_kernels test_loss_and_update $(patsubst tests/%.c,%,$(wildcard tests/test_gpu_*.c tests/test_double_*.c))
CXX_WARNINGS   := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wpointer-arith -Wcast-qual -Wformat=2 -Wundef
CXXFLAGS       ?= $(CFLAGS)
ALL_CXXFLAGS    = -std=c++17 -ffp-contract=off -pthread -I. -Itests/gpu/include $(CXX_WARNINGS) $(CXXFLAGS) $(SANITIZE_FLAGS)

SOURCES  := $(filter-out $(MAINS) device/cuda.c,$(wildcard $(addsuffix /*.c,$(DIRS))))
OBJECTS  := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY  := $(BUILD)/libtp.a
TESTS    := $(patsubst %.c,$(BUILD)/%,$(filter-out tests/test_double_%,$(wildcard tests/test_*.c))) \
            $(DOUBLE_TESTS:%=$(BUILD)/double/tests/%)
CK_EXCLUDE_TAGS ?= exhaustive
SCRIPT_TESTS := tests/test_docs.sh tests/test_fuzz.sh tests/test_double_headers.sh
SUPPORT  := $(BUILD)/tests/libsupport.a
FUZZERS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_MAIN ?= $(BUILD)/tests/fuzz/replay.o
BENCHES  := $(patsubst %.c,$(BUILD)/%,$(wildcard bench/*.c))
BINARIES := $(PROGRAMS:%=$(BUILD)/%)
DOUBLE_BINARIES := $(BUILD)/double/tpcoord $(BUILD)/double/tpstage

.PHONY: all help deps run test exhaustive torture scribble starts soak bench install clean format lint asan ubsan tsan valgrind fuzz programs check-programs fuzzers
.SECONDARY:
.DELETE_ON_ERROR:

all: deps
	@$(MAKE) --no-print-directory programs

help:
	@sed -n 's/^#   //p' Makefile
	@echo "make all | deps | bench | install [PREFIX=] | clean | format | lint"
	@echo "make asan | ubsan | tsan | valgrind | fuzz [SECONDS=] [TARGET=] | exhaustive"
	@echo "make torture [KILLS=] [SEED=] | scribble [RUNS=] [SEED=] | starts [COUNT=] | soak [MINUTES=]"

deps:
	@./deps.sh $(PACKAGES)

programs: $(BINARIES)

run: all
	@$(BUILD)/tpcoord $(CONFIG)

test: deps
	@$(MAKE) --no-print-directory check-programs

check-programs: $(BINARIES) $(DOUBLE_BINARIES) $(TESTS) $(FUZZERS)
	@CK_EXCLUDE_TAGS='$(CK_EXCLUDE_TAGS)' tests/run.sh $(BUILD) $(TESTS) $(SCRIPT_TESTS)

# Every interleaving of pipelines that are too large for make test.
exhaustive: deps
	@$(MAKE) --no-print-directory TESTS=$(BUILD)/tests/test_executor SCRIPT_TESTS= CK_EXCLUDE_TAGS= check-programs

# Kills a process of a small run so many times: make torture KILLS=200 SEED=1
torture: deps
	@$(MAKE) --no-print-directory TESTS=$(BUILD)/tests/test_torture SCRIPT_TESTS= check-programs
torture: export KILLS ?= 200
torture: export SEED ?= $(shell date +%s)

# Random words written into the shared memory of so many runs, with AddressSanitizer: make scribble RUNS=500 SEED=1
scribble: deps
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address OPT=-O2 \
		TESTS=$(BUILD)/asan/tests/test_scribble SCRIPT_TESTS= check-programs
scribble: export RUNS ?= 500
scribble: export SEED ?= $(shell date +%s)

# Nothing may pile up: over COUNT runs in a row, or in one of MINUTES.
starts soak: all
COUNT ?= 500
starts:
	@tests/starts.sh $(BUILD) $(COUNT)
MINUTES ?= 30
soak:
	@tests/soak.sh $(BUILD) $(MINUTES)

bench: deps
	@$(MAKE) --no-print-directory programs $(BENCHES)
	@bench/run.sh $(BUILD)

# AddressSanitizer does not follow coroutines whose stacks are copied. ThreadSanitizer sees threads, not processes: the
# rings, and whole pipelines whose stages are threads.
asan ubsan tsan: deps
asan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address OPT=-O2 \
		CK_EXCLUDE_TAGS='exhaustive coroutines' check-programs
ubsan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/ubsan SANITIZE=undefined OPT=-O2 check-programs
tsan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan SANITIZE=thread OPT=-O1 CK_EXCLUDE_TAGS='long exhaustive' \
		TESTS='$(BUILD)/tsan/tests/test_transport $(BUILD)/tsan/tests/test_stages' SCRIPT_TESTS= check-programs

# valgrind knows no AVX-512.
valgrind: deps
	@./deps.sh valgrind
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/valgrind ARCH=x86-64-v2 OPT=-O1 programs
	@tests/valgrind.sh $(BUILD)/valgrind

# Coverage-guided, with clang's libFuzzer: make fuzz SECONDS=600 [TARGET=idx]
fuzz: deps
	@./deps.sh clang
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined OPT=-O1Wno-error' \
		FUZZ_MAIN= LDFLAGS=-fsanitize=fuzzer fuzzers
	@tests/fuzz/run.sh $(BUILD)/fuzz $(SECONDS) $(TARGET)
SECONDS ?= 60
fuzzers: $(FUZZERS)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install $(BINARIES) $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1

FORMATTED = $(wildcard $(addsuffix /*.[ch],$(DIRS) tests tests/support tests/executor tests/fuzz bench) \
	$(addprefix tests/gpu/,*.[ch] *.cpp *.cu include/*.h) $(addprefix kernels/cuda/,*.[ch] *.cu))
format:
	clang-format -i $(FORMATTED)

lint:
	clang-format --dry-run --Werror $(FORMATTED)
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --suppress=ctuuninitvar \
		--error-exitcode=1 -I. -D_GNU_SOURCE $(DIRS) kernels/cuda

clean:
	rm -rf $(BUILD)

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/tpcoord: $(BUILD)/coordinator/main.o $(LIBRARY) $(CUDA_OBJECTS)
$(BUILD)/tpstage: $(BUILD)/stages/main.o $(LIBRARY) $(CUDA_OBJECTS)
$(BUILD)/tpcoord $(BUILD)/tpstage: LDLIBS += $(CUDA_LIBS)
$(BUILD)/tpmon: $(BUILD)/monitor/main.o $(LIBRARY)
$(BUILD)/tpmon: LDLIBS += $(shell pkg-config --libs ncursesw 2>/dev/null)
$(BINARIES):
	@echo "  link $@"
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The programs with a GPU made of threads. The double's libraries are found by name, as the real ones are.
$(BUILD)/double/tpcoord: $(BUILD)/coordinator/main.o $(LIBRARY) $(DOUBLE_OBJECTS)
$(BUILD)/double/tpstage: $(BUILD)/stages/main.o $(LIBRARY) $(DOUBLE_OBJECTS)
$(DOUBLE_BINARIES):
	@echo "  link $@"
	@$(CXX) $(filter-out -std=%,$(ALL_CXXFLAGS)) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS) -ldl

$(SUPPORT): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/tests/test_%: $(BUILD)/tests/test_%.o $(SUPPORT) $(LIBRARY) $(CUDA_OBJECTS)
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(shell pkg-config --libs check) $(LDLIBS) $(CUDA_LIBS)

$(BUILD)/double/tests/test_%: $(BUILD)/tests/test_%.o $(SUPPORT) $(LIBRARY) $(DOUBLE_OBJECTS)
	@mkdir -p $(@D)
	@$(CXX) $(filter-out -std=%,$(ALL_CXXFLAGS)) $(LDFLAGS) -rdynamic -o $@ $(filter %.o,$^) $(filter %.a,$^) \
		$(shell pkg-config --libs check) $(LDLIBS) -ldl

# Tests of the double itself, which call it as if it were CUDA.
$(BUILD)/tests/test_double_%.o $(BUILD)/tests/gpu/%.o: CPPFLAGS += -Itests/gpu/include
$(filter $(BUILD)/double/tests/test_double_%,$(TESTS)): $(BUILD)/double/tests/gpu/test_kernels.cu.o $(BUILD)/tests/gpu/test_support.o

# Stages that are coroutines: what they allocate is the test's, and so is what they do next.
$(BUILD)/tests/test_executor: $(BUILD)/tests/executor/kernels.o
$(BUILD)/tests/test_executor: LDFLAGS += -Wl,--wrap=calloc,--wrap=free,--wrap=schedule_next

# A GPU's clock that drifts.
$(BUILD)/tests/test_gpu_device $(BUILD)/double/tests/test_gpu_device: LDFLAGS += -Wl,--wrap=cudaEventElapsedTime

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/fuzz.o $(FUZZ_MAIN) $(LIBRARY)
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(LIBRARY)
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The oracle's plain loops are the slowest thing in the suite and share nothing between threads.
$(BUILD)/tests/support/oracle.o: SANITIZE_FLAGS =
$(BUILD)/tests/support/oracle.o: CFLAGS = -O3 -g -march=$(ARCH)

$(BUILD)/cuda/%.c.o: %.c
	@mkdir -p $(@D)
	@echo "  cc   $<"
	@$(CC) $(CPPFLAGS) -isystem $(CUDA_ROOT)/include $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/cuda/%.cu.o: %.cu
	@mkdir -p $(@D)
	@echo "  nvcc $<"
	@$(NVCC) $(CUDA_FLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/double/%.c.o: %.c
	@mkdir -p $(@D)
	@echo "  cc   $< (double)"
	@$(CC) $(CPPFLAGS) -Itests/gpu/include $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/double/%.cu.o: %.cu
	@mkdir -p $(@D)
	@echo "  c++  $< (double)"
	@$(CXX) $(ALL_CXXFLAGS) -MMD -MP -c -o $@ -x c++ $<

$(BUILD)/double/%.o: %.cpp
	@mkdir -p $(@D)
	@echo "  c++  $<"
	@$(CXX) $(ALL_CXXFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  cc   $<"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
