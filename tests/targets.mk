# How tests are built and run; included by the Makefile. docs/testing.md says what each target is for.

TESTS := $(patsubst %.c,$(BUILD)/%,$(filter-out tests/test_double_%,$(wildcard tests/test_*.c)))
SCRIPT_TESTS := tests/test_completion.sh tests/test_docs.sh tests/test_fuzz.sh tests/test_hosts.sh tests/test_machines.sh \
	tests/test_machine_systems.sh tests/test_double_headers.sh tests/test_make.sh
SHORT_FORMS  := $(addprefix tests/short/,lint.sh processors.sh sanitizers.sh clang.sh without_cuda.sh fuzz.sh)
SUPPORT   := $(BUILD)/tests/libsupport.a
FUZZERS   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_MAIN ?= $(BUILD)/tests/fuzz/replay.o
CHECK     := $(shell pkg-config --libs check 2>/dev/null)
CK_EXCLUDE_TAGS ?= exhaustive

# The double of a GPU: CUDA's sources once more, with libraries made of threads in the place of NVIDIA's.
ifneq ($(DOUBLE),0)
DOUBLE_OBJECTS  := $(CUDA_SOURCES:%=$(BUILD)/double/%.o) $(patsubst %.cpp,$(BUILD)/double/%.o,$(wildcard tests/gpu/*.cpp))
DOUBLE_BINARIES := $(BUILD)/double/tpcoord $(BUILD)/double/tpstage
TESTS := $(addprefix $(BUILD)/double/tests/,test_kernels test_loss test_update test_sums \
	$(patsubst tests/%.c,%,$(wildcard tests/test_gpu_*.c tests/test_double_*.c))) $(TESTS)
endif

# Those that compute in one process and watch no clock: tests/run.sh has as many of them going as there are cores.
TOGETHER := $(addprefix test_,any_times canvas checkpoint csv csv_random data events executor golden_networks idx \
	idx_damage interleavings kernels lists loss manifest methods network network_reader node optimizers orders plan predict \
	reading recording records schedule screens simulate sums systems unchanged update update_rule versions view_keys \
	views)

.PHONY: test test-programs check-programs exhaustive torture scribble hosts starts soak asan ubsan tsan valgrind fuzz fuzzers nightly

# What short forms need is installed if it can be; a form that lacks it is skipped.
test: deps
	@./deps.sh --try clang clang-format cppcheck iproute2 $(if $(filter-out 0,$(MPI)),$(MPI_PACKAGES))
	+@$(SUBMAKE) SCRIPT_TESTS='$(SCRIPT_TESTS) $(SHORT_FORMS)' check-programs

test-programs: $(BINARIES) $(DOUBLE_BINARIES) $(TESTS) $(FUZZERS)

# Makes that tests start are not this one's jobs.
check-programs: test-programs
	@MAKEFLAGS='$(filter-out -j% --jobserver%,$(MAKEFLAGS))' CK_EXCLUDE_TAGS='$(CK_EXCLUDE_TAGS)' \
		TOGETHER='$(TOGETHER)' tests/run.sh $(BUILD) $(TESTS) $(SCRIPT_TESTS)

# Every interleaving of pipelines that are too large for make test; every system on the network of configs/llama.ini.
exhaustive: deps
	+@$(SUBMAKE) TESTS='$(BUILD)/tests/test_executor $(BUILD)/tests/test_text_runs' SCRIPT_TESTS= CK_EXCLUDE_TAGS= check-programs

# Kills a process of a small run so many times: make torture KILLS=200 SEED=1
torture: deps
	+@$(SUBMAKE) TESTS=$(BUILD)/tests/test_torture SCRIPT_TESTS= check-programs
torture: export KILLS ?= 200
torture: export SEED ?= $(shell date +%s)

# Random words written into the shared memory of so many runs, with AddressSanitizer: make scribble RUNS=500 SEED=1
scribble: deps
	+@$(SUBMAKE) BUILD=$(BUILD)/asan SANITIZE=address OPT=-O2 \
		TESTS=$(BUILD)/asan/tests/test_scribble SCRIPT_TESTS= check-programs
scribble: export RUNS ?= 500
scribble: export SEED ?= $(shell date +%s)

# Runs on several hosts: every system on each shape, each way of dying on each, and so many deaths at random: make hosts KILLS=100 SEED=1
hosts: deps
	@./deps.sh iproute2 $(MPI_PACKAGES)
	+@$(SUBMAKE) TESTS= SCRIPT_TESTS='$(addprefix tests/test_machine,_systems.sh s.sh _kills.sh)' check-programs
hosts: export LONG = yes
hosts: export KILLS ?= 100
hosts: export SEED ?= $(shell date +%s)

# Nothing may pile up: over COUNT runs in a row, or in one of MINUTES.
starts soak: deps
	+@$(SUBMAKE) programs
	@tests/$@.sh $(BUILD) $(if $(filter starts,$@),$(COUNT),$(MINUTES))
COUNT   ?= 500
MINUTES ?= 30

# AddressSanitizer does not follow coroutines whose stacks are copied. ThreadSanitizer sees threads, not processes: the
# rings, the loader, and whole pipelines whose stages are threads.
asan ubsan tsan: deps
asan:
	+@$(SUBMAKE) BUILD=$(BUILD)/asan SANITIZE=address OPT=-O2 CK_EXCLUDE_TAGS='exhaustive coroutines' check-programs
ubsan:
	+@$(SUBMAKE) BUILD=$(BUILD)/ubsan SANITIZE=undefined OPT=-O2 check-programs
tsan:
	+@$(SUBMAKE) BUILD=$(BUILD)/tsan SANITIZE=thread OPT=-O1 CK_EXCLUDE_TAGS='long exhaustive' \
		TESTS='$(BUILD)/tsan/tests/test_transport $(BUILD)/tsan/tests/test_loader \
			$(BUILD)/tsan/tests/test_stages' SCRIPT_TESTS= check-programs

# valgrind knows no AVX-512.
valgrind: deps
	@./deps.sh valgrind
	+@$(SUBMAKE) BUILD=$(BUILD)/valgrind ARCH=x86-64-v2 OPT=-O1 programs
	@tests/valgrind.sh $(BUILD)/valgrind

# Coverage-guided, with clang's libFuzzer: make fuzz SECONDS=600 [TARGET=idx]
fuzz: deps
	@./deps.sh clang
	+@$(SUBMAKE) BUILD=$(BUILD)/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined OPT=-O1 CUDA=0 \
		FUZZ_MAIN= LDFLAGS=-fsanitize=fuzzer fuzzers
	@tests/fuzz/run.sh $(BUILD)/fuzz $(SECONDS) $(TARGET)
SECONDS ?= 60
fuzzers: $(FUZZERS)

# All that is too long for every change, in one go.
nightly: deps
	@tests/nightly.sh $(BUILD)

# The programs with a GPU made of threads. The double's libraries are found by name, as the real ones are.
$(BUILD)/double/tpcoord: $(BUILD)/coordinator/main.o $(LIBRARY) $(DOUBLE_OBJECTS)
$(BUILD)/double/tpstage: $(BUILD)/stages/main.o $(LIBRARY) $(DOUBLE_OBJECTS)
$(DOUBLE_BINARIES): $(BUILD)/link.flags
	@echo "  link $@"
	@$(CXX) $(filter-out -std=%,$(ALL_CXXFLAGS)) $(LDFLAGS) -rdynamic -o $@ $(INPUTS) $(ALL_LDLIBS) $(CAIRO_LIBS) -ldl

$(BUILD)/tests/test_pictures.o: ALL_CPPFLAGS += $(PICTURE_FLAGS)

$(SUPPORT): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/tests/test_%: $(BUILD)/tests/test_%.o $(SUPPORT) $(LIBRARY) $(CUDA_OBJECTS) $(BUILD)/link.flags
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(WRAPPED) -o $@ $(INPUTS) $(CHECK) $(ALL_LDLIBS) $(CUDA_LIBS) $(CAIRO_LIBS)

$(BUILD)/double/tests/test_%: $(BUILD)/tests/test_%.o $(SUPPORT) $(LIBRARY) $(DOUBLE_OBJECTS) $(BUILD)/link.flags
	@mkdir -p $(@D)
	@$(CXX) $(filter-out -std=%,$(ALL_CXXFLAGS)) $(LDFLAGS) $(WRAPPED) -rdynamic -o $@ $(INPUTS) $(CHECK) $(ALL_LDLIBS) $(CAIRO_LIBS) -ldl

# Tests of the double itself, which call it as if it were CUDA.
$(BUILD)/tests/test_double_%.o $(BUILD)/tests/gpu/%.o: ALL_CPPFLAGS += -Itests/gpu/include
$(filter $(BUILD)/double/tests/test_double_%,$(TESTS)): $(BUILD)/double/tests/gpu/test_kernels.cu.o $(BUILD)/tests/gpu/test_support.o

# Stages that are coroutines: what they allocate is the test's, and so is what they do next.
$(BUILD)/tests/test_executor: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/executor/*.c))
$(BUILD)/tests/test_executor: WRAPPED = -Wl,--wrap=calloc,--wrap=free,--wrap=checkpoint_write \
                                -Wl,--wrap=schedule_next,--wrap=schedule_can_run,--wrap=norm_is_known

# Nodes of which each hears the other in the same process, and machines whose clocks are as the test has them.
$(BUILD)/tests/test_node: $(filter-out $(addprefix $(BUILD)/node/,main.o net.o run.o measure.o),$(NODE_OBJECTS))
$(BUILD)/tests/test_node: WRAPPED = -Wl,--wrap=clock_gettime

# A GPU's clock that drifts.
$(BUILD)/tests/test_gpu_device $(BUILD)/double/tests/test_gpu_device: WRAPPED = -Wl,--wrap=cudaEventElapsedTime

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/fuzz.o $(FUZZ_MAIN) $(LIBRARY) $(BUILD)/link.flags
	@$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(INPUTS) $(ALL_LDLIBS)

# The oracle's plain loops are the slowest thing in the suite and share nothing between threads.
$(BUILD)/tests/support/oracle.o: SANITIZE_FLAGS =
$(BUILD)/tests/support/oracle.o: CFLAGS = -O3 -g -march=$(ARCH)

$(BUILD)/double/%.c.o: %.c $(BUILD)/c.flags
	@mkdir -p $(@D)
	@echo "  cc   $< (double)"
	@$(CC) $(ALL_CPPFLAGS) -Itests/gpu/include $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/double/%.cu.o: %.cu $(BUILD)/c.flags
	@mkdir -p $(@D)
	@echo "  c++  $< (double)"
	@$(CXX) -Itests/gpu/include $(ALL_CXXFLAGS) -MMD -MP -c -o $@ -x c++ $<

$(BUILD)/double/%.o: %.cpp $(BUILD)/c.flags
	@mkdir -p $(@D)
	@echo "  c++  $<"
	@$(CXX) -Itests/gpu/include $(ALL_CXXFLAGS) -MMD -MP -c -o $@ $<
