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

# Warnings are shown; in make test, which machines run, they are errors.
WERROR ?= $(if $(filter test nightly,$(MAKECMDGOALS)),1,0)
export WERROR

# The CUDA backend is built where nvcc is found. CUDA=0: never; CUDA=1: or it is an error.
# CUDA_ARCH: compute capabilities to compile for, such as "75 86 90"; newer GPUs run what the newest one can.
CUDA      ?= auto
CUDA_HOME ?= /usr/local/cuda
CUDA_ARCH ?= 90

# tpnode, for runs on several machines, is built where an MPI is found. MPI=0: never; MPI=1: make installs it first, if it is
# missing.
MPI ?= auto

# DOUBLE=0 leaves out the double of a GPU (tests/gpu), its programs and its tests.
DOUBLE ?= 1

ifneq ($(words [$(BUILD)]),1)
$(error BUILD=$(BUILD): make cannot build in a folder with blanks in its name)
endif

# The C++ compiler that goes with the C compiler: of clang-19, clang++-19.
ifeq ($(origin CXX),default)
CXX := $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC)),$(if $(findstring gcc,$(CC)),$(subst gcc,g++,$(CC)),c++))
endif

DIRS      := base device layers network kernels kernels/reference kernels/onednn data optimizers rules schedule schedule/orders plan board transport telemetry checkpoint picture timing stages coordinator monitor
PROGRAMS  := tpcoord tpstage tpmon
MAINS     := coordinator/main.c stages/main.c monitor/main.c
LIBRARIES := jansson zlib
PACKAGES  := pkg-config libdnnl-dev libjansson-dev zlib1g-dev libncurses-dev
OPTIONAL_PACKAGES := libcairo2-dev libjpeg62-turbo-dev libpng-dev
MPI_PACKAGES := libopenmpi-dev openmpi-bin
DATA_PACKAGES := dataset-fashion-mnist
TEST_PACKAGES := g++ check

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wdouble-promotion -Wno-format-nonliteral
CXX_WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wpointer-arith -Wcast-qual -Wformat=2 -Wundef
# clang 19 complains of what its own -march=native means on processors with AVX10.
ifneq ($(findstring clang,$(CC)),)
WARNINGS     += -Wno-unknown-warning-option -Wno-invalid-feature-combination
CXX_WARNINGS += -Wno-unknown-warning-option -Wno-invalid-feature-combination
endif
ERRORS   := $(if $(filter 1,$(WERROR)),-Werror)
SANITIZE ?=
SANITIZE_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)

# gcc's OpenMP is the one that oneDNN computes on; clang has another. ThreadSanitizer knows neither.
HAS_OPENMP := $(if $(SANITIZE)$(findstring clang,$(CC)),,1)
OPENMP     := $(if $(HAS_OPENMP),-fopenmp,-Wno-unknown-pragmas)

# CFLAGS, CXXFLAGS, CPPFLAGS, LDFLAGS and LDLIBS are the user's; what the sources need stands beside them.
# Contraction is off so that the same source gives the same bits wherever a kernel is inlined. Nobody reads errno behind a
# square root or the flags of a comparison, and loops with one vectorise if they are not set.
CFLAGS      ?= $(OPT) -g -march=$(ARCH)
CXXFLAGS    ?= $(CFLAGS)
ALL_CPPFLAGS = -D_GNU_SOURCE -I. $(LIBRARY_FLAGS) $(CPPFLAGS)
ALL_CFLAGS   = -std=c11 -ffp-contract=off -fno-math-errno -fno-trapping-math -pthread $(WARNINGS) $(ERRORS) $(CFLAGS) $(SANITIZE_FLAGS)
ALL_CXXFLAGS = -std=c++17 -ffp-contract=off -fno-math-errno -fno-trapping-math -pthread -I. $(CXX_WARNINGS) $(ERRORS) $(CXXFLAGS) $(SANITIZE_FLAGS)
ALL_LDLIBS   = $(LINKED) $(LDLIBS)
LIBRARY_FLAGS := $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null)
LINKED   := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null) -ldnnl $(if $(HAS_OPENMP),-lgomp) -lm -lrt -pthread
CURSES   := $(shell pkg-config --libs ncursesw 2>/dev/null)

# Pictures of data sets are read where libjpeg-turbo and libpng are found.
PICTURES      := $(if $(shell pkg-config --exists libjpeg libpng 2>/dev/null && echo 1),libjpeg libpng)
PICTURE_FLAGS := $(if $(PICTURES),-DTP_PICTURES $(shell pkg-config --cflags $(PICTURES)))
LINKED        += $(if $(PICTURES),$(shell pkg-config --libs $(PICTURES)))

# Pictures are drawn where cairo is found. CAIRO=0: never; CAIRO=1: or it is an error.
CAIRO    ?= auto
HAS_CAIRO   := $(if $(filter-out 0,$(CAIRO)),$(shell pkg-config --exists cairo-svg cairo-pdf cairo-png 2>/dev/null && echo 1))
CAIRO_FLAGS := $(if $(HAS_CAIRO),-DTP_CAIRO $(shell pkg-config --cflags cairo))
CAIRO_LIBS  := $(if $(HAS_CAIRO),$(shell pkg-config --libs cairo))
ifeq ($(CAIRO)$(HAS_CAIRO),1)
$(error CAIRO=1, but pkg-config finds no cairo)
endif

# MPICC: MPI's wrapper of the compiler, which is told to use CC.
MPICC   ?= mpicc
HAS_MPI := $(if $(filter-out 0,$(MPI)),$(shell command -v $(MPICC)))
MPI_CC  := OMPI_CC='$(CC)' MPICH_CC='$(CC)' $(MPICC)
# Of the make that compiles: the one before it may have to install it.
ifneq ($(filter programs,$(MAKECMDGOALS)),)
ifeq ($(MPI)$(HAS_MPI),1)
$(error MPI=1, but there is no $(MPICC) in the PATH; Debian's are in libopenmpi-dev and libmpich-dev)
endif
endif

# Files that include CUDA's headers. They are compiled for a GPU, and once more for the tests' double of one.
CUDA_SOURCES := device/cuda.c $(wildcard kernels/cuda/*.c kernels/cuda/*.cu)
NVCC      := $(if $(filter-out 0,$(CUDA)),$(firstword $(wildcard $(CUDA_HOME)/bin/nvcc) $(shell command -v nvcc)))
CUDA_ROOT := $(patsubst %/bin/nvcc,%,$(NVCC))
ifeq ($(CUDA)$(NVCC),1)
$(error CUDA=1, but there is no nvcc in $(CUDA_HOME)/bin or the PATH; say where with CUDA_HOME=)
endif
NODE_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard node/*.c))
PROGRAMS     += $(if $(HAS_MPI),tpnode)
CUDA_OBJECTS := $(if $(NVCC),$(CUDA_SOURCES:%=$(BUILD)/cuda/%.o))
CUDA_LIBS    := $(if $(NVCC),-L$(CUDA_ROOT)/lib64 -Xlinker -rpath -Xlinker $(CUDA_ROOT)/lib64 -lcudart_static -lstdc++ -ldl)
CUDA_FLAGS   := -std=c++17 -O3 -I. $(if $(ERRORS),-Werror all-warnings) -Xcompiler -Wall,-Wextra \
                $(foreach arch,$(CUDA_ARCH),-gencode arch=compute_$(arch),code=sm_$(arch)) \
                -gencode arch=compute_$(lastword $(CUDA_ARCH)),code=compute_$(lastword $(CUDA_ARCH))

SOURCES  := $(filter-out $(MAINS) device/cuda.c,$(wildcard $(addsuffix /*.c,$(DIRS))))
LIBRARY  := $(BUILD)/libtp.a
BINARIES := $(PROGRAMS:%=$(BUILD)/%)
BENCHES  := $(patsubst %.c,$(BUILD)/%,$(filter-out $(if $(HAS_MPI),,bench/pingpong.c),$(wildcard bench/*.c)))
MANUALS  := $(wildcard docs/man/*.1)
CONFIGS  := $(wildcard configs/*.ini)

# bash looks for a command's completion by its name, so tpmon's is the same file once more; zsh reads which they are for.
COMPLETIONS := bash-completion/completions/tpcoord bash-completion/completions/tpmon zsh/site-functions/_tpcoord

# The version is base/version.h's; the commit is known where there is a checkout, or given: COMMIT=...
ifndef COMMIT
COMMIT := $(shell [ -e .git ] && GIT_OPTIONAL_LOCKS=0 git describe --always --dirty --abbrev=10 --exclude '*' 2>/dev/null)
endif
VERSION := $(shell sed -n 's/^.define TP_VERSION "\(.*\)"/\1/p' base/version.h)$(if $(COMMIT), ($(COMMIT)))

# What compiles C, and links programs: of tpnode MPI's wrappers.
COMPILER = $(CC)
LINKER   = $(CC)

# On all cores, unless make was told how many jobs to run.
SUBMAKE = $(MAKE) --no-print-directory $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: all help deps run programs bench install uninstall clean format lint FORCE
.SECONDARY:
.DELETE_ON_ERROR:

all:
	@$(if $(filter 1,$(MPI)),./deps.sh $(MPI_PACKAGES))
	@./deps.sh --check $(PACKAGES)
	+@$(SUBMAKE) programs

help:
	@sed -n 's/^#   //p' Makefile
	@echo "make all | deps | bench | install, uninstall [DESTDIR=] [PREFIX=] | clean | format | lint"
	@echo "make asan | ubsan | tsan | valgrind | fuzz [SECONDS=] [TARGET=] | exhaustive"
	@echo "make torture [KILLS=] [SEED=] | scribble [RUNS=] [SEED=] | hosts [KILLS=] [SEED=] | starts [COUNT=] | soak [MINUTES=] | nightly: all of these"
	@echo "for all: BUILD= CC= OPT= ARCH= CFLAGS= CPPFLAGS= LDFLAGS= CUDA=0|1 CUDA_ARCH= MPI=0|1 CAIRO=0|1 DOUBLE=0 WERROR=0|1"

deps:
	@./deps.sh $(if $(filter 1,$(MPI)),$(MPI_PACKAGES)) $(PACKAGES) $(DATA_PACKAGES) $(TEST_PACKAGES)
	@./deps.sh --try $(OPTIONAL_PACKAGES)

programs: $(BINARIES)

run:
	@./deps.sh $(if $(filter 1,$(MPI)),$(MPI_PACKAGES)) $(PACKAGES) $(DATA_PACKAGES)
	@./deps.sh --try $(OPTIONAL_PACKAGES)
	+@$(SUBMAKE) programs
	@$(BUILD)/tpcoord $(CONFIG)

bench: deps
	+@$(SUBMAKE) programs $(BENCHES)
	@bench/run.sh $(BUILD)

install: all
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/man/man1"
	install $(BINARIES) "$(DESTDIR)$(PREFIX)/bin"
	@for manual in $(notdir $(MANUALS)); do \
		echo "install $$manual"; \
		sed 's/^\.Os$$/.Os tp $(VERSION)/' "docs/man/$$manual" >"$(BUILD)/$$manual" && \
		install -m 644 "$(BUILD)/$$manual" "$(DESTDIR)$(PREFIX)/share/man/man1" || exit 1; \
	done
	@for file in $(CONFIGS); do \
		echo "install $$file"; \
		install -D -m 644 "$$file" "$(DESTDIR)$(PREFIX)/share/tp/$$file" || exit 1; \
	done
	@for file in $(COMPLETIONS); do \
		echo "install $$file"; \
		install -D -m 644 completion/$$(case $$file in zsh*) echo _tpcoord ;; *) echo tpcoord.bash ;; esac) \
			"$(DESTDIR)$(PREFIX)/share/$$file" || exit 1; \
	done

uninstall:
	@for file in $(PROGRAMS:%=bin/%) $(MANUALS:docs/man/%=share/man/man1/%) $(COMPLETIONS:%=share/%) \
		$(CONFIGS:%=share/tp/%); do \
		echo "rm $(DESTDIR)$(PREFIX)/$$file"; rm -f "$(DESTDIR)$(PREFIX)/$$file"; \
	done

clean:
	rm -rf $(BUILD)

FORMATTED = $(wildcard $(addsuffix /*.[ch],$(DIRS) node tests tests/support tests/executor tests/fuzz bench) \
	$(addprefix tests/gpu/,*.[ch] *.cpp *.cu include/*.h) $(addprefix kernels/cuda/,*.[ch] *.cu))
format:
	@./deps.sh clang-format
	@clang-format -i $(FORMATTED)

lint:
	@./deps.sh clang-format cppcheck
	@clang-format --dry-run --Werror $(FORMATTED)
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --suppress=ctuuninitvar \
		--error-exitcode=1 -j $$(nproc) -I. -D_GNU_SOURCE $(DIRS) kernels/cuda

# What a kind of file is made with: whatever depends on $(BUILD)/KIND.flags is made again when its flags are others.
# Whether warnings are errors changes no file.
FLAGS_c      := $(CC) $(PICTURE_FLAGS) $(CAIRO_FLAGS) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(CXX) $(ALL_CXXFLAGS)
FLAGS_cuda   := $(NVCC) $(CUDA_FLAGS)
FLAGS_link   := $(LDFLAGS) $(ALL_LDLIBS) $(CURSES) $(CUDA_LIBS) $(CAIRO_LIBS)
FLAGS_commit := $(COMMIT)
$(addprefix $(BUILD)/,c.flags cuda.flags link.flags commit.flags): $(BUILD)/%.flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(filter-out -Werror all-warnings,$(FLAGS_$*)))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Texts as bytes: programs find them wherever they run. $(call embed,HEADER,ARRAY,FILES): names without their endings.
define embed
	@mkdir -p $(@D)
	@{ echo '#include "$(1)"'; \
	n=0; for file in $(3); do \
		n=$$((n + 1)); echo "static const char text_$$n[] = {"; od -An -v -td1 $$file | sed 's/  *\(-*[0-9][0-9]*\)/\1,/g'; echo '0};'; \
	done; \
	echo 'const char *const $(2)[][2] = {'; \
	n=0; for file in $(3); do \
		n=$$((n + 1)); name=$$(basename $$file); echo "{\"$${name%.*}\", text_$$n},"; \
	done; \
	echo '{0, 0}};'; } >$@
endef

# The networks, and the documents that tpcoord explains words from.
NETWORKS  := $(sort $(wildcard networks/*.net))
DOCUMENTS := docs/glossary.md docs/systems.md
EMBEDDED  := $(BUILD)/network/builtin_networks $(BUILD)/coordinator/builtin_documents
$(BUILD)/network/builtin_networks.c: $(NETWORKS) Makefile
	$(call embed,network/internal.h,network_builtins,$(NETWORKS))
$(BUILD)/coordinator/builtin_documents.c: $(DOCUMENTS) Makefile
	$(call embed,coordinator/documents.h,documents,$(DOCUMENTS))

$(EMBEDDED:%=%.o): %.o: %.c $(BUILD)/c.flags
	@echo "  cc   $<"
	@$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(LIBRARY): $(SOURCES:%.c=$(BUILD)/%.o) $(EMBEDDED:%=%.o)
	@rm -f $@
	@$(AR) rcs $@ $^

# Their prerequisites without the flags' files.
INPUTS = $(filter %.o,$^) $(filter %.a,$^)

$(BUILD)/tpcoord: $(BUILD)/coordinator/main.o $(LIBRARY) $(CUDA_OBJECTS)
$(BUILD)/tpstage: $(BUILD)/stages/main.o $(LIBRARY) $(CUDA_OBJECTS)
$(BUILD)/tpcoord $(BUILD)/tpstage: LINKED += $(CUDA_LIBS)
$(BUILD)/tpmon: $(BUILD)/monitor/main.o $(LIBRARY)
$(BUILD)/tpmon: LINKED += $(CURSES)
$(BUILD)/tpnode: $(NODE_OBJECTS) $(LIBRARY)
$(BUILD)/tpnode: LINKER = $(MPI_CC)
$(BUILD)/node/net.o: COMPILER = $(MPI_CC)
$(BUILD)/tpcoord $(BUILD)/tpmon: LINKED += $(CAIRO_LIBS)
$(BUILD)/picture/render.o: ALL_CPPFLAGS += $(CAIRO_FLAGS)
$(BUILD)/data/decode.o: ALL_CPPFLAGS += $(PICTURE_FLAGS)
$(BINARIES): $(BUILD)/link.flags
	@echo "  link $@"
	@$(LINKER) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(INPUTS) $(ALL_LDLIBS)

$(BUILD)/bench/pingpong.o: COMPILER = $(MPI_CC)
$(BUILD)/bench/pingpong: LINKER = $(MPI_CC)
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(LIBRARY) $(BUILD)/link.flags
	@$(LINKER) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(INPUTS) $(ALL_LDLIBS)

$(BUILD)/base/version.o: ALL_CPPFLAGS += $(if $(COMMIT),-DTP_COMMIT='"$(COMMIT)"')
$(BUILD)/base/version.o: $(BUILD)/commit.flags

$(BUILD)/cuda/%.c.o: %.c $(BUILD)/c.flags $(BUILD)/cuda.flags
	@mkdir -p $(@D)
	@echo "  cc   $<"
	@$(CC) $(ALL_CPPFLAGS) -isystem $(CUDA_ROOT)/include $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/cuda/%.cu.o: %.cu $(BUILD)/cuda.flags
	@mkdir -p $(@D)
	@echo "  nvcc $<"
	@$(NVCC) $(CUDA_FLAGS) -MMD -MP -c -o $@ $<

# Products alone, and what prepares them: in half the instructions.
%/kernels/onednn/small_product.o %/kernels/onednn/winograd.o: ALL_CFLAGS += -ffp-contract=fast
$(patsubst %.c,\%/%.o,$(wildcard kernels/onednn/*.c)): ALL_CFLAGS += $(OPENMP)

$(BUILD)/%.o: %.c $(BUILD)/c.flags
	@mkdir -p $(@D)
	@echo "  cc   $<"
	@$(COMPILER) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

include tests/targets.mk

# Of this tree alone: below it lie those of sanitizers and other compilers.
-include $(wildcard $(foreach tree,$(BUILD) $(BUILD)/cuda $(BUILD)/double,\
	$(addsuffix /*.d,$(addprefix $(tree)/,$(DIRS) node kernels/cuda bench tests $(addprefix tests/,support executor fuzz gpu)))))
