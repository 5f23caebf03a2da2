/* What the runtime says about itself, its devices and its errors. */
#include <cstdio>
#include <cstring>

#include "tests/gpu/context.h"

using namespace gpu;

namespace
{

const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidDevicePointer, "cudaErrorInvalidDevicePointer", "invalid device pointer"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorDeviceUninitialized, "cudaErrorDeviceUninitialized", "invalid device context"},
    {cudaErrorMapBufferObjectFailed, "cudaErrorMapBufferObjectFailed", "mapping of buffer object failed"},
    {cudaErrorPeerAccessUnsupported, "cudaErrorPeerAccessUnsupported",
     "peer access is not supported between these two devices"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorPeerAccessAlreadyEnabled, "cudaErrorPeerAccessAlreadyEnabled", "peer access is already enabled"},
    {cudaErrorHostMemoryAlreadyRegistered, "cudaErrorHostMemoryAlreadyRegistered",
     "part or all of the requested memory range is already mapped"},
    {cudaErrorHostMemoryNotRegistered, "cudaErrorHostMemoryNotRegistered",
     "pointer does not correspond to a registered memory region"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorStreamCaptureWrongThread, "cudaErrorStreamCaptureWrongThread",
     "attempt to terminate a thread-local capture sequence from another thread"},
};

const char *device_name(int device)
{
    static thread_local char name[32];

    snprintf(name, sizeof name, "Double %d", device);
    return name;
}

bool valid(int device)
{
    return device >= 0 && device < configured().devices;
}

enum {
    MAJOR = 8,
    MINOR = 0,
    PROCESSORS = 4,
    FIRST_BUS = 0x10,
};

} // namespace

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    return call([&] {
        *count = configured().devices;
        return cudaSuccess;
    });
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    return call([&] {
        if (!valid(device))
            return cudaErrorInvalidDevice;
        *prop = {};
        snprintf(prop->name, sizeof prop->name, "%s", device_name(device));
        memcpy(prop->uuid.bytes, "double", 6);
        prop->uuid.bytes[15] = (char)device;
        prop->totalGlobalMem = configured().memory;
        prop->sharedMemPerBlock = 48 << 10;
        prop->warpSize = 32;
        prop->maxThreadsPerBlock = 1024;
        prop->major = MAJOR;
        prop->minor = MINOR;
        prop->multiProcessorCount = PROCESSORS;
        prop->pciBusID = FIRST_BUS + device;
        prop->unifiedAddressing = prop->ipcEventSupported = 1;
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device)
{
    static const struct {
        cudaDeviceAttr attribute;
        int value;
    } attributes[] = {
        {cudaDevAttrMaxThreadsPerBlock, 1024},
        {cudaDevAttrMaxSharedMemoryPerBlock, 48 << 10},
        {cudaDevAttrWarpSize, 32},
        {cudaDevAttrMultiProcessorCount, PROCESSORS},
        {cudaDevAttrIntegrated, 0},
        {cudaDevAttrComputeMode, cudaComputeModeDefault},
        {cudaDevAttrUnifiedAddressing, 1},
        {cudaDevAttrComputeCapabilityMajor, MAJOR},
        {cudaDevAttrComputeCapabilityMinor, MINOR},
        {cudaDevAttrPageableMemoryAccess, 0},
        {cudaDevAttrHostRegisterSupported, 1},
        {cudaDevAttrIpcEventSupport, 1},
    };

    return call([&] {
        if (!valid(device))
            return cudaErrorInvalidDevice;
        for (const auto &row : attributes) {
            if (row.attribute == attr) {
                *value = row.value;
                return cudaSuccess;
            }
        }
        return cudaErrorInvalidValue;
    });
}

cudaError_t cudaDeviceGetPCIBusId(char *pciBusId, int len, int device)
{
    return call([&] {
        if (!valid(device))
            return cudaErrorInvalidDevice;
        char text[16];
        int length = snprintf(text, sizeof text, "0000:%02X:00.0", (unsigned)(FIRST_BUS + device));
        if (len <= length)
            return cudaErrorInvalidValue;
        memcpy(pciBusId, text, (size_t)length + 1);
        return cudaSuccess;
    });
}

cudaError_t cudaDriverGetVersion(int *driverVersion)
{
    *driverVersion = configured().driver ? CUDART_VERSION : 0;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *runtimeVersion)
{
    *runtimeVersion = CUDART_VERSION;
    return cudaSuccess;
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (const auto &row : errors) {
        if (row.error == error)
            return row.name;
    }
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &row : errors) {
        if (row.error == error)
            return row.text;
    }
    return "unrecognized error code";
}
