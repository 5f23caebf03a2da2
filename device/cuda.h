/* What backends that compute with CUDA need of a CUDA device: its queue. Includes CUDA's headers. */
#ifndef TP_DEVICE_CUDA_H
#define TP_DEVICE_CUDA_H

#include <cuda_runtime_api.h>

#include "device/device.h"

/* Everything of a device is called by the thread that opened it. */
cudaStream_t cuda_device_stream(const struct device *device);

/* Fills the error once: "what: <CUDA's name and text of the status>"; returns 0 for cudaSuccess, else -1. */
int cuda_check(cudaError_t status, const char *what, struct error *error);

#endif
