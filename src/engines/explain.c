/* SPDX-License-Identifier: Apache-2.0
 *
 * What an engine's last words mean. */
#include "engines/engine.h"

/* The first row that is found counts. What names the trouble itself stands before what an engine
 * says about it later ("failed to create context"), and memory before the rest: engines that run
 * out of it complain of much else. */
static const struct cause {
    const char *text; /* in the tail of standard error */
    const char *sentence;
} causes[] = {
    {"cudaMalloc failed: out of memory", "not enough GPU memory to load the model (CUDA)"},
    {"CUDA error: out of memory", "not enough GPU memory to load the model (CUDA)"},
    {"failed to allocate buffer, size =", "not enough GPU memory to load the model (Metal)"},
    {"kIOGPUCommandBufferCallbackErrorOutOfMemory",
     "not enough GPU memory to run the model (Metal)"},
    {"ErrorOutOfDeviceMemory", "not enough GPU memory to load the model (Vulkan)"},
    {"hipErrorOutOfMemory", "not enough GPU memory to load the model (ROCm)"},
    {"ErrorDeviceLost",
     "the GPU stopped working (Vulkan): look at its driver and the system's log"},
    {"no kernel image is available",
     "this build of the engine has no code for this GPU: install one that has"},
    {"CUDA driver version is insufficient",
     "the GPU's driver is older than what the engine was built for: update the driver"},
    {"std::bad_alloc", "not enough memory to load the model"},
    {"out of memory", "not enough memory to load the model"},
    {"Cannot allocate memory", "not enough memory to load the model"},
    {"failed to allocate compute", "not enough memory for the context: make it smaller"},
    {"unknown model architecture", "the engine does not know the model's architecture"},
    {"unknown pre-tokenizer type", "the engine does not know the model's tokenizer"},
    {"invalid magic", "the model's file is no GGUF file"},
    {"not within the file bounds", "the model's file is cut off or damaged: verify the model"},
    {"wrong number of tensors", "the model's file does not fit its architecture"},
    {"missing tensor", "the model's file does not fit its architecture"},
    {"clip_init: failed", "the model's projector (mmproj) cannot be loaded"},
    {"failed to load multimodal model", "the model's projector (mmproj) cannot be loaded"},
    {"GLIBC_", "the engine was built for a newer system"},
    {"error while loading shared libraries", "a library that the engine needs is missing"},
    {"couldn't bind HTTP server socket",
     "the engine cannot listen on its socket; llama.cpp builds before April 2025 have no Unix "
     "sockets"},
    {"Address already in use", "the engine cannot listen on its socket: somebody else does"},
    {"Too many open files", "the engine has no file descriptor left: raise the limit"},
    {"No space left on device", "a disk is full"},
    {"Permission denied", "the engine may not read or write what it needs"},
    {"Input/output error", "the disk cannot be read: look at the system's log"},
    {"error: unknown argument", "this build of the engine does not know one of the runtime flags"},
    {"error: invalid argument", "this build of the engine does not know one of the runtime flags"},
    {"failed to create context", "the engine cannot make a context of this size"},
    {"exiting due to model loading error", "failed to load model"},
};

const char *engine_explain(struct str tail)
{
    for (size_t i = 0; i < ARRAY_LEN(causes); i++)
        if (str_find(tail, str_from(causes[i].text)) >= 0)
            return causes[i].sentence;
    return NULL;
}
