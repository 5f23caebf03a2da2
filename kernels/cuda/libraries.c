#include "kernels/cuda/libraries.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

struct symbol {
    const char *name;
    size_t offset; /* in struct libraries */
};

#define SYMBOL(function) {#function, offsetof(struct libraries, function)},

static const struct symbol cublas_symbols[] = {CUBLAS_FUNCTIONS(SYMBOL){NULL, 0}};
static const struct symbol cublas_lt_symbols[] = {CUBLAS_LT_FUNCTIONS(SYMBOL){NULL, 0}};
static const struct symbol cudnn_symbols[] = {CUDNN_FUNCTIONS(SYMBOL){NULL, 0}};

/* Versions that have the functions as the headers declare them, newest first. */
static const char *const cublas_files[] = {"libcublas.so.13", "libcublas.so.12", NULL};
static const char *const cublas_lt_files[] = {"libcublasLt.so.13", "libcublasLt.so.12", NULL};
static const char *const cudnn_files[] = {"libcudnn.so.9", NULL};

/* The first symbol that `handle` does not have; NULL if it has all. */
static const char *find(struct libraries *libraries, void *handle, const struct symbol *symbols)
{
    for (const struct symbol *symbol = symbols; symbol->name; symbol++) {
        void *address = dlsym(handle, symbol->name);

        if (!address)
            return symbol->name;
        memcpy((char *)libraries + symbol->offset, &address, sizeof(address));
    }
    return NULL;
}

/* In the program itself, or in the first of the files that can be loaded. */
static int load(struct libraries *libraries, const char *what, const char *const *files, const struct symbol *symbols,
                struct error *error)
{
    void *handle = NULL;
    const char *missing = find(libraries, RTLD_DEFAULT, symbols);

    for (const char *const *file = files; missing && *file && !handle; file++)
        handle = dlopen(*file, RTLD_NOW | RTLD_LOCAL);
    if (handle)
        missing = find(libraries, handle, symbols);
    else if (missing)
        return error_set(error, "%s (%s) was not found; LD_LIBRARY_PATH can say where it is", what, files[0]);
    return missing ? error_set(error, "%s has no function %s", what, missing) : 0;
}

int libraries_load(struct libraries *libraries, struct error *error)
{
    struct error ignored;

    if (load(libraries, "cuBLASLt", cublas_lt_files, cublas_lt_symbols, error) ||
        load(libraries, "cuBLAS", cublas_files, cublas_symbols, error))
        return -1;
    libraries->cudnn = cudnn_symbols[0].name && load(libraries, "cuDNN", cudnn_files, cudnn_symbols, &ignored) == 0;
    return 0;
}
