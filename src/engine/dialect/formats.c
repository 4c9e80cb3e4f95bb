/* SPDX-License-Identifier: Apache-2.0
 *
 * The formats of calls and of reasoning, one row a family. */
#include "engine/dialect/dialect.h"

#define JSON_KEYS .name_key = "name", .args_key = "arguments"

const struct call_format dialect_call_formats[] = {
    /* gpt-oss */
    {.name = "harmony", .style = CALLS_HARMONY, .flags = CALLS_ONE},

    /* DeepSeek R1, V3 and their distilled models */
    {.name = "deepseek-r1",
     .style = CALLS_HEADED,
     .begin = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool_calls_begin｜>"},
     .end = {"<｜tool▁calls▁end｜>", "<｜tool_calls_end｜>"},
     .head = {"<｜tool▁call▁begin｜>function<｜tool▁sep｜>%n\n```json\n",
              "<｜tool▁call▁begin｜>%x<｜tool▁sep｜>%n\n```\n", "%x<｜tool▁sep｜>%n\n```json\n"},
     .close = {"<｜tool▁call▁end｜>", "```"},
     .between = "\n"},
    /* DeepSeek V3.1 */
    {.name = "deepseek-v3.1",
     .style = CALLS_HEADED,
     .begin = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"},
     .end = {"<｜tool▁calls▁end｜>"},
     .head = {"<｜tool▁call▁begin｜>%n<｜tool▁sep｜>", "%n<｜tool▁sep｜>"},
     .close = {"<｜tool▁call▁end｜>"}},
    /* DeepSeek V3.2 */
    {.name = "deepseek-v3.2",
     .style = CALLS_PARAMS,
     .flags = CALLS_TYPED,
     .begin = {"<｜DSML｜function_calls>", "<｜DSML｜tool_calls>"},
     .end = {"</｜DSML｜function_calls>", "</｜DSML｜tool_calls>"},
     .head = {"<｜DSML｜invoke name=\"%n\">"},
     .close = {"</｜DSML｜invoke>"},
     .param = "<｜DSML｜parameter name=\"",
     .key_end = {"\" string=\"true\">", "\" string=\"false\">"},
     .param_end = "</｜DSML｜parameter>",
     .between = "\n"},
    /* DeepSeek V4: the same with another name */
    {.name = "deepseek-v4",
     .style = CALLS_PARAMS,
     .flags = CALLS_TYPED,
     .begin = {"<｜DSML｜tool_calls>", "<｜DSML｜function_calls>"},
     .end = {"</｜DSML｜tool_calls>", "</｜DSML｜function_calls>"},
     .head = {"<｜DSML｜invoke name=\"%n\">"},
     .close = {"</｜DSML｜invoke>"},
     .param = "<｜DSML｜parameter name=\"",
     .key_end = {"\" string=\"true\">", "\" string=\"false\">"},
     .param_end = "</｜DSML｜parameter>",
     .between = "\n"},

    /* Kimi K2 */
    {.name = "kimi-k2",
     .style = CALLS_HEADED,
     .begin = {"<|tool_calls_section_begin|>", "<|tool_call_begin|>"},
     .end = {"<|tool_calls_section_end|>"},
     .head = {"<|tool_call_begin|>%k<|tool_call_argument_begin|>",
              "%k<|tool_call_argument_begin|>"},
     .close = {"<|tool_call_end|>"}},

    /* Command R7B, Command A */
    {.name = "command-r7b",
     .style = CALLS_JSON,
     .flags = CALLS_LIST,
     .begin = {"<|START_ACTION|>"},
     .end = {"<|END_ACTION|>"},
     .name_key = "tool_name",
     .args_key = "parameters",
     .id_key = "tool_call_id",
     .frame = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"}},
    /* Command R, R+ */
    {.name = "command-r",
     .style = CALLS_JSON,
     .flags = CALLS_LIST,
     .begin = {"Action:\n```json\n", "Action: ```json\n"},
     .end = {"```"},
     .name_key = "tool_name",
     .args_key = "parameters"},

    /* Functionary 3.2: the prompt ends with >>> */
    {.name = "functionary-v3.2",
     .style = CALLS_HEADED,
     .flags = CALLS_KNOWN_NAMES | CALLS_OPEN,
     .begin = {">>>"},
     .head = {"%n\n"},
     .between = ">>>",
     .content_name = "all"},
    /* Functionary 3.1, Llama 3.1's own form for user-defined functions */
    {.name = "functionary-v3.1",
     .style = CALLS_HEADED,
     .flags = CALLS_CODE,
     .begin = {"<function=", "<|python_tag|>"},
     .head = {"%n>"},
     .close = {"</function>"}},

    /* Gemma 4 */
    {.name = "gemma4",
     .style = CALLS_BRACES,
     .begin = {"<|tool_call>"},
     .end = {"<tool_call|>", "<|tool_response>"},
     .head = {"call:%n"},
     .quote = "<|\"|>"},
    /* FunctionGemma */
    {.name = "functiongemma",
     .style = CALLS_BRACES,
     .begin = {"<start_function_call>"},
     .end = {"<end_function_call>"},
     .head = {"call:%n"},
     .quote = "<escape>"},

    /* MiniMax M2 */
    {.name = "minimax-m2",
     .style = CALLS_PARAMS,
     .begin = {"<minimax:tool_call>"},
     .end = {"</minimax:tool_call>"},
     .head = {"<invoke name=\"%n\">"},
     .close = {"</invoke>"},
     .param = "<parameter name=\"",
     .key_end = {"\">"},
     .param_end = "</parameter>",
     .between = "\n"},
    /* ATEM models */
    {.name = "atem",
     .style = CALLS_PARAMS,
     .begin = {"<atem:function_calls>"},
     .end = {"</atem:function_calls>"},
     .head = {"<atem:invoke name=\"%n\">"},
     .close = {"</atem:invoke>"},
     .param = "<atem:parameter name=\"",
     .key_end = {"\">"},
     .param_end = "</atem:parameter>",
     .between = "\n"},

    /* Seed-OSS */
    {.name = "seed-oss",
     .style = CALLS_PARAMS,
     .flags = CALLS_LINES,
     .begin = {"<seed:tool_call>"},
     .end = {"</seed:tool_call>"},
     .head = {"<function=%n>"},
     .close = {"</function>"},
     .param = "<parameter=",
     .key_end = {">"},
     .param_end = "</parameter>"},
    /* Qwen3-Coder, Qwen3.5, Nemotron 3, Step 3.5 */
    {.name = "qwen3-coder",
     .style = CALLS_PARAMS,
     .flags = CALLS_LINES,
     .begin = {"<tool_call>", "<function="},
     .end = {"</tool_call>"},
     .head = {"<function=%n>", "%n>"},
     .close = {"</function>"},
     .param = "<parameter=",
     .key_end = {">"},
     .param_end = "</parameter>",
     .between = "\n"},
    /* MiniCPM 5 */
    {.name = "minicpm5",
     .style = CALLS_PARAMS,
     .begin = {"<function name=\""},
     .head = {"%n\">"},
     .close = {"</function>"},
     .param = "<param name=\"",
     .key_end = {"\">"},
     .param_end = "</param>",
     .between = "\n"},
    /* GLM 4.5 to 4.7, Laguna, Spark */
    {.name = "glm",
     .style = CALLS_PARAMS,
     .begin = {"<tool_call>"},
     .end = {"</tool_call>"},
     .head = {"%n\n"},
     .param = "<arg_key>",
     .key_end = {"</arg_key>\n<arg_value>"},
     .param_end = "</arg_value>",
     .between = "\n"},

    /* Nemotron Nano 2 */
    {.name = "nemotron-v2",
     .style = CALLS_JSON,
     .flags = CALLS_LIST,
     .begin = {"<TOOLCALL>"},
     .end = {"</TOOLCALL>"},
     JSON_KEYS},
    /* LFM2 */
    {.name = "lfm2",
     .style = CALLS_PYTHON,
     .begin = {"<|tool_call_start|>"},
     .end = {"<|tool_call_end|>"}},
    /* Apertus */
    {.name = "apertus",
     .style = CALLS_JSON,
     .flags = CALLS_LIST | CALLS_NAME_IS_KEY,
     .begin = {"<|tools_prefix|>"},
     .end = {"<|tools_suffix|>"}},
    /* Solar Open */
    {.name = "solar",
     .style = CALLS_HEADED,
     .begin = {"<|tool_call:begin|>"},
     .head = {"%i<|tool_call:name|>%n<|tool_call:args|>"},
     .close = {"<|tool_call:end|>", "<|calls|>"}},
    /* GigaChat 3 */
    {.name = "gigachat3",
     .style = CALLS_JSON,
     .flags = CALLS_ONE,
     .begin = {"<|function_call|>", "function call<|role_sep|>\n"},
     JSON_KEYS},
    /* InternLM 2, 3 */
    {.name = "internlm2",
     .style = CALLS_JSON,
     .begin = {"<|action_start|><|plugin|>", "<|action_start|> <|plugin|>"},
     .end = {"<|action_end|>"},
     .name_key = "name",
     .args_key = "parameters"},

    /* Mistral: Small 3.2, Devstral, Ministral 3, Magistral */
    {.name = "mistral-args",
     .style = CALLS_HEADED,
     .begin = {"[TOOL_CALLS]"},
     .head = {"%n[ARGS]", "%n[CALL_ID]%i[ARGS]"},
     .between = "[TOOL_CALLS]"},
    /* Mistral: 7B v0.3, Nemo, Large 2407, Small 3 */
    {.name = "mistral",
     .style = CALLS_JSON,
     .flags = CALLS_LIST,
     .begin = {"[TOOL_CALLS]"},
     .head = {"%n[ARGS]", "%n[CALL_ID]%i[ARGS]"},
     .id_key = "id",
     JSON_KEYS},

    /* Granite 3, Phi-4-mini */
    {.name = "granite",
     .style = CALLS_JSON,
     .flags = CALLS_LIST,
     .begin = {"<|tool_call|>", "<tool_call>"},
     .end = {"</tool_call>", "<|/tool_call|>"},
     JSON_KEYS,
     .frame = {"<response>", "</response>"}},
    {.name = "phi4-mini",
     .style = CALLS_JSON,
     .flags = CALLS_LIST,
     .begin = {"<|tool_call|>", "functools"},
     .end = {"<|/tool_call|>"},
     JSON_KEYS},
    /* Firefunction 2 */
    {.name = "functools",
     .style = CALLS_JSON,
     .flags = CALLS_LIST,
     .begin = {" functools", "functools"},
     JSON_KEYS},
    /* Apriel, Hunyuan, Jamba, MiniMax M1 */
    {.name = "tool-calls-tag",
     .style = CALLS_JSON,
     .flags = CALLS_LIST,
     .begin = {"<tool_calls>"},
     .end = {"</tool_calls>"},
     JSON_KEYS},
    /* Llama 4's and OLMo 3's Python lists */
    {.name = "olmo3",
     .style = CALLS_PYTHON,
     .begin = {"<function_calls>"},
     .end = {"</function_calls>"},
     .between = "\n"},
    {.name = "llama4",
     .style = CALLS_PYTHON,
     .flags = CALLS_BARE | CALLS_KNOWN_NAMES | CALLS_CODE,
     .begin = {"<|python_start|>", "<|python_tag|>"},
     .end = {"<|python_end|>", "<|eom|>"}},
    /* Llama 3.1 to 3.3 */
    {.name = "llama3",
     .style = CALLS_JSON,
     .flags = CALLS_BARE | CALLS_CODE | CALLS_ONE,
     .begin = {"<|python_tag|>"},
     .name_key = "name",
     .args_key = "parameters"},
    /* Hermes 2 Pro, Qwen 2.5, Qwen 3, Granite 4, SmolLM3, EXAONE 4, ERNIE 4.5, Bielik, … */
    {.name = "hermes",
     .style = CALLS_JSON,
     .begin = {"<tool_call>"},
     .end = {"</tool_call>"},
     .between = "\n",
     JSON_KEYS},
    /* Templates without tools: the form they are told to use (prompting.h) */
    {.name = "generic",
     .style = CALLS_JSON,
     .begin = {"<tool_call>"},
     .end = {"</tool_call>"},
     .between = "\n",
     JSON_KEYS},
    {0},
};

const struct reasoning_format dialect_reasoning_formats[] = {
    {.name = "harmony",
     .open = "<|channel|>analysis<|message|>",
     .close = "<|end|>",
     .force = "<|end|><|start|>assistant<|channel|>final<|message|>"},
    {.name = "seed", .open = "<seed:think>", .close = "</seed:think>", .force = "</seed:think>"},
    {.name = "minimax-m3", .open = "<mm:think>", .close = "</mm:think>", .force = "</mm:think>"},
    {.name = "command",
     .open = "<|START_THINKING|>",
     .close = "<|END_THINKING|>",
     .force = "<|END_THINKING|>",
     .calls_end_it = true},
    {.name = "mistral",
     .open = "[THINK]",
     .close = "[/THINK]",
     .force = "[/THINK]",
     .calls_end_it = true},
    {.name = "gemma4",
     .open = "<|channel>thought\n",
     .close = "<channel|>",
     .force = "\n<channel|>",
     .calls_end_it = true},
    {.name = "apertus",
     .open = "<|inner_prefix|>",
     .close = "<|inner_suffix|>",
     .force = "<|inner_suffix|>",
     .calls_end_it = true},
    {.name = "apriel", .close = "[BEGIN FINAL RESPONSE]", .force = "\n[BEGIN FINAL RESPONSE]\n"},
    {.name = "think", .open = "<think>", .close = "</think>", .force = "\n</think>\n\n"},
    {0},
};

const struct call_format *dialect_call_format(struct str name)
{
    for (const struct call_format *f = dialect_call_formats; f->name; f++)
        if (str_eq_c(name, f->name))
            return f;
    return NULL;
}

const struct reasoning_format *dialect_reasoning_format(struct str name)
{
    for (const struct reasoning_format *f = dialect_reasoning_formats; f->name; f++)
        if (str_eq_c(name, f->name))
            return f;
    return NULL;
}
