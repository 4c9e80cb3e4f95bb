/* SPDX-License-Identifier: Apache-2.0
 *
 * Which dialect a chat template is written in: texts that only its family has, the more special
 * ones first. */
#include "engine/dialect/dialect.h"

#include "base/compiler.h"

enum { SIGNS_MAX = 2 };

static const struct {
    const char *signs[SIGNS_MAX]; /* all of them occur in the template */
    const char *calls;
} call_signs[] = {
    {{"<atem:function_calls>"}, "atem"},
    {{"<|channel|>", "<|message|>"}, "harmony"},
    {{"｜DSML｜", "function_calls>"}, "deepseek-v3.2"},
    {{"｜DSML｜"}, "deepseek-v4"},
    {{"<｜tool▁sep｜>", "```json"}, "deepseek-r1"},
    {{"<｜tool▁sep｜>"}, "deepseek-v3.1"},
    {{"<|tool_call_argument_begin|>"}, "kimi-k2"},
    {{"<|START_ACTION|>"}, "command-r7b"},
    {{"Action:", "tool_name"}, "command-r"},
    {{">>>all"}, "functionary-v3.2"},
    {{"<|tool_call>"}, "gemma4"},
    {{"<start_function_call>"}, "functiongemma"},
    {{"<minimax:tool_call>"}, "minimax-m2"},
    {{"<seed:tool_call>"}, "seed-oss"},
    {{"<function name=", "<param name="}, "minicpm5"},
    {{"<function=", "<parameter="}, "qwen3-coder"},
    {{"<function=", "</function>"}, "functionary-v3.1"},
    {{"<arg_key>"}, "glm"},
    {{"<TOOLCALL>"}, "nemotron-v2"},
    {{"<|tool_call_start|>"}, "lfm2"},
    {{"<|tool_list_start|>"}, "lfm2"},
    {{"<|tools_prefix|>"}, "apertus"},
    {{"<|tool_call:begin|>"}, "solar"},
    {{"<|function_call|>"}, "gigachat3"},
    {{"function call", "<|role_sep|>"}, "gigachat3"},
    {{"<|action_start|>"}, "internlm2"},
    {{"[TOOL_CALLS]", "[ARGS]"}, "mistral-args"},
    {{"[TOOL_CALLS]"}, "mistral"},
    {{"<|tool_call|>", "<|start_of_role|>"}, "granite"},
    {{"<|tool|>", "<|/tool|>"}, "phi4-mini"},
    {{"<|tool_call|>"}, "phi4-mini"},
    {{"functools["}, "functools"},
    {{"<tool_calls>"}, "tool-calls-tag"},
    {{"<function_calls>"}, "olmo3"},
    {{"<|python_start|>"}, "llama4"},
    {{"<|python_tag|>"}, "llama3"},
    {{"<|start_header_id|>", "\"parameters\": "}, "llama3"},
    {{"<tool_call>"}, "hermes"},
    {{"List of tools: ["}, "lfm2"},
};

/* Tokens that tell where the template does not. */
static const struct {
    const char *token, *calls;
} call_tokens[] = {
    {"<|tool_call_start|>", "lfm2"},
    {"<tool_call>", "hermes"},
};

static const struct {
    const char *sign, *reasoning;
} reasoning_signs[] = {
    {"<|channel|>analysis", "harmony"},
    {"<seed:think>", "seed"},
    {"<mm:think>", "minimax-m3"},
    {"<|START_THINKING|>", "command"},
    {"[THINK]", "mistral"},
    {"<|channel>thought", "gemma4"},
    {"<|inner_prefix|>", "apertus"},
    {"[BEGIN FINAL RESPONSE]", "apriel"},
    {"<think>", "think"},
    {"</think>", "think"},
};

struct dialect dialect_detect(struct str source, bool (*has_token)(void *ctx, struct str text),
                              void *ctx)
{
    struct dialect d = {0};
    for (size_t i = 0; i < ARRAY_LEN(call_signs) && !d.calls; i++) {
        bool all = true;
        for (size_t k = 0; k < SIGNS_MAX && call_signs[i].signs[k]; k++)
            all &= str_find(source, str_from(call_signs[i].signs[k])) >= 0;
        if (all)
            d.calls = dialect_call_format(str_from(call_signs[i].calls));
    }
    d.has_tools = d.calls != NULL;
    for (size_t i = 0; has_token && i < ARRAY_LEN(call_tokens) && !d.calls; i++)
        if (has_token(ctx, str_from(call_tokens[i].token)))
            d.calls = dialect_call_format(str_from(call_tokens[i].calls));
    if (!d.calls)
        d.calls = dialect_call_format(STR("generic"));
    for (size_t i = 0; i < ARRAY_LEN(reasoning_signs) && !d.reasoning; i++)
        if (str_find(source, str_from(reasoning_signs[i].sign)) >= 0)
            d.reasoning = dialect_reasoning_format(str_from(reasoning_signs[i].reasoning));
    return d;
}
