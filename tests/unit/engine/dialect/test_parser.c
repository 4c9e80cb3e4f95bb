/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of many families, each parsed whole, cut at every byte, byte by byte, with its tokens as
 * text and as control tokens, eagerly and carefully: the result is always the same. */
#include "answer_check.h"

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":"
    "\"object\","
    "\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},"
    "\"metric\":{\"type\":\"boolean\"},\"where\":{\"type\":\"object\"},\"zip\":{\"type\":"
    "\"string\"},"
    "\"ratio\":{\"type\":\"number\"},\"tags\":{\"type\":\"array\"},"
    "\"maybe\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]},"
    "\"unit\":{\"enum\":[\"c\",\"f\"]},\"any\":{}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"now\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"write_file\",\"parameters\":{\"type\":"
    "\"object\","
    "\"properties\":{\"path\":{\"type\":\"string\"},\"text\":{\"type\":\"string\"}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"python\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"code\":{\"type\":\"string\"}}}}}]";

struct sample {
    const char *calls, *reasoning_format; /* the dialect; NULL reasoning = none */
    bool open;                            /* the prompt ends within reasoning */
    const char *text;
    const char *content, *reasoning;
    const char *want; /* calls: [["name", {arguments}, "id"?], …]; NULL = none */
    bool broken;      /* not well-formed: not for the eager parser */
};

#define CALL_PARIS "[\"get_weather\",{\"city\":\"Paris\"}]"

static const struct sample samples[] = {
    /* ---- Hermes, Qwen 2.5, Qwen 3 ---- */
    {"hermes", "think", false, "Hello, world!\n", "Hello, world!\n", "", NULL, false},
    {"hermes", "think", false, " \n leading stays", " \n leading stays", "", NULL, false},
    {"hermes", "think", false,
     "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>",
     "", "", "[" CALL_PARIS "]", false},
    {"hermes", "think", false,
     "<think>\nThey want weather.\n</think>\n\nLet me look.\n\n<tool_call>\n{\"name\": "
     "\"get_weather\", \"arguments\": {\"city\": "
     "\"Paris\"}}\n</tool_call>\n<tool_call>\n{\"name\": "
     "\"now\", \"arguments\": {}}\n</tool_call>",
     "Let me look.", "They want weather.", "[" CALL_PARIS ",[\"now\",{}]]", false},
    {"hermes", "think", true, "Hm.\n</think>\n\nYes.", "Yes.", "Hm.", NULL, false},
    {"hermes", "think", true, "Hm. I am cut off", "", "Hm. I am cut off", NULL, false},
    {"hermes", "think", false, "<think>\n\n</think>\n\nYes.", "Yes.", "", NULL, false},
    {"hermes", "think", false,
     "<tool_call>{\"arguments\": {\"city\": \"Paris\"}, \"name\": \"get_weather\"}</tool_call>", "",
     "", "[" CALL_PARIS "]", false},
    {"hermes", "think", false,
     "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}", "", "",
     "[" CALL_PARIS "]", false},
    {"hermes", "think", false,
     "<tool_call>{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"arguments\": "
     "{\"city\": \"Paris\"}}}</tool_call>",
     "", "", "[" CALL_PARIS "]", false},
    {"hermes", "think", false,
     "<tool_call>{\"name\": \"get_weather\", \"arguments\": \"{\\\"city\\\": \\\"Paris\\\"}\"}"
     "</tool_call>",
     "", "", "[" CALL_PARIS "]", false},
    {"hermes", "think", false, "<tool_call>{\"name\": \"now\"}</tool_call>", "", "",
     "[[\"now\",{}]]", false},
    {"hermes", "think", false,
     "<tool_call>[{\"name\": \"now\", \"arguments\": null}, {\"name\": \"now\", \"arguments\": {}}]"
     "</tool_call>",
     "", "", "[[\"now\",{}],[\"now\",{}]]", false},
    /* a line break within a string, as models write it */
    {"hermes", "think", false,
     "<tool_call>{\"name\": \"write_file\", \"arguments\": {\"path\": \"a\", \"text\": "
     "\"1\n2\t3\"}}"
     "</tool_call>",
     "", "", "[[\"write_file\",{\"path\":\"a\",\"text\":\"1\\n2\\t3\"}]]", false},
    /* text around and behind */
    {"hermes", "think", false,
     "A <b> tag & <tool_cal <tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call> behind",
     "A <b> tag & <tool_cal"
     "behind",
     "", "[[\"now\",{}]]", false},
    {"hermes", "think", false,
     "<tool_call>{\"name\": \"now\", \"arguments\": {}} odd </tool_call>!", "odd!", "",
     "[[\"now\",{}]]", false},
    /* no calls at all */
    {"hermes", "think", false, "<tool_call>", "<tool_call>", "", NULL, true},
    {"hermes", "think", false, "x <tool_call", "x <tool_call", "", NULL, true},
    {"hermes", "think", false, "<tool_call>{\"name\": \"now\", \"arguments\": {",
     "<tool_call>{\"name\": \"now\", \"arguments\": {", "", NULL, true},
    {"hermes", "think", false, "<tool_call>\nplain words\n</tool_call>",
     "<tool_call>\nplain words\n</tool_call>", "", NULL, true},
    {"hermes", "think", false,
     "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": tru}}</tool_call>",
     "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": tru}}</tool_call>", "", NULL, true},
    {"hermes", "think", false, "<tool_call>{\"name\": \"now\", \"arguments\": 7}</tool_call>",
     "<tool_call>{\"name\": \"now\", \"arguments\": 7}</tool_call>", "", NULL, true},
    {"hermes", "think", false, "<tool_call>{\"name\": 7, \"arguments\": {}}</tool_call>",
     "<tool_call>{\"name\": 7, \"arguments\": {}}</tool_call>", "", NULL, true},
    {"hermes", "think", false, "<tool_call>{\"arguments\": {}}</tool_call>",
     "<tool_call>{\"arguments\": {}}</tool_call>", "", NULL, true},
    {"hermes", "think", false, "<tool_call>{}</tool_call>", "<tool_call>{}</tool_call>", "", NULL,
     true},
    {"hermes", "think", false,
     "<tool_call>{\"name\": <tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>",
     "<tool_call>{\"name\":", "", "[[\"now\",{}]]", true},
    {"hermes", "think", false, "<tool_call>{\"name\": \"a b\", \"arguments\": {}}</tool_call>",
     "<tool_call>{\"name\": \"a b\", \"arguments\": {}}</tool_call>", "", NULL, true},
    {"hermes", "think", false,
     "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"\\ud800\"}}</tool_call>",
     "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"\\ud800\"}}</tool_call>", "", NULL,
     true},
    /* a mark inside of an argument is text */
    {"hermes", "think", false,
     "<tool_call>{\"name\": \"write_file\", \"arguments\": {\"path\": \"</tool_call>\", \"text\": "
     "\"<think>{}\"}}</tool_call>",
     "", "", "[[\"write_file\",{\"path\":\"</tool_call>\",\"text\":\"<think>{}\"}]]", false},
    {"hermes", "think", false,
     "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Besançon 東京 🌧\", "
     "\"days\": "
     "-1.5e3, \"tags\": [true, false, null, [], {}]}}</tool_call>",
     "", "",
     "[[\"get_weather\",{\"city\":\"Besançon 東京 "
     "🌧\",\"days\":-1.5e3,\"tags\":[true,false,null,[],{"
     "}]}]]",
     false},

    /* ---- Qwen3-Coder, Qwen 3.5, Nemotron 3 ---- */
    {"qwen3-coder", "think", false,
     "I'll look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n"
     "<parameter=days>\n3\n</parameter>\n<parameter=metric>\nTrue\n</parameter>\n<parameter=zip>\n"
     "07500\n</parameter>\n<parameter=where>\n{\"a\": [1, "
     "2]}\n</parameter>\n</function>\n</tool_call>",
     "I'll look.", "",
     "[[\"get_weather\",{\"city\":\"Paris\",\"days\":3,\"metric\":true,\"zip\":\"07500\",\"where\":"
     "{\"a\":"
     "[1,2]}}]]",
     false},
    {"qwen3-coder", "think", true,
     "Hm\n</think>\n\n<tool_call>\n<function=write_file>\n<parameter=path>\na.html\n</parameter>\n"
     "<parameter=text>\n<p>\n  \"x\" < 1 "
     "</p>\n\n\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n"
     "<function=now>\n</function>\n</tool_call>",
     "", "Hm",
     "[[\"write_file\",{\"path\":\"a.html\",\"text\":\"<p>\\n  \\\"x\\\" < 1 "
     "</p>\\n\\n\"}],[\"now\",{}]]",
     false},
    /* without the outer tag, and with a parameter that is not closed */
    {"qwen3-coder", "think", false,
     "<function=get_weather>\n<parameter=city>\nParis\n<parameter=days>\n2\n</function>\n</"
     "tool_call>",
     "", "", "[[\"get_weather\",{\"city\":\"Paris\",\"days\":2}]]", false},
    {"qwen3-coder", "think", false,
     "<tool_call>\n<function=get_weather>\n<parameter=days>\nmany\n</"
     "parameter>\n<parameter=maybe>\n"
     "null\n</parameter>\n<parameter=any>\n[1]\n</parameter>\n<parameter=other>\n5\n</parameter>\n"
     "<parameter=where>\n{'k': None}\n</parameter>\n<parameter=ratio>\n1e3\n</parameter>\n"
     "<parameter=unit>\nc\n</parameter>\n</function>\n</tool_call>",
     "", "",
     "[[\"get_weather\",{\"days\":\"many\",\"maybe\":null,\"any\":[1],\"other\":\"5\",\"where\":{"
     "\"k\":null},"
     "\"ratio\":1e3,\"unit\":\"c\"}]]",
     false},
    {"qwen3-coder", "think", false, "<tool_call>\n<function=now>\n<parameter=a",
     "<tool_call>\n<function=now>\n<parameter=a", "", NULL, true},
    {"qwen3-coder", "think", false, "<tool_call>\n<function=now>\nwords</function>",
     "<tool_call>\n<function=now>\nwords</function>", "", NULL, true},
    {"qwen3-coder", "think", false,
     "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", "", "", "[[\"now\",{}]]",
     false},

    /* ---- Seed-OSS ---- */
    {"seed-oss", "seed", false,
     "<seed:think>Let me think.</seed:think>One moment.\n<seed:tool_call>\n<function=get_weather>\n"
     "<parameter=city>Paris</parameter>\n<parameter=days>3</parameter>\n</function>\n</"
     "seed:tool_call>",
     "One moment.", "Let me think.", "[[\"get_weather\",{\"city\":\"Paris\",\"days\":3}]]", false},

    /* ---- GLM ---- */
    {"glm", "think", false,
     "\n<think>Weather.</think>\nSure.\n<tool_call>get_weather\n<arg_key>city</"
     "arg_key>\n<arg_value>Paris"
     "</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</"
     "tool_call>\n<tool_call>now\n"
     "</tool_call>",
     "Sure.", "Weather.", "[[\"get_weather\",{\"city\":\"Paris\",\"days\":3}],[\"now\",{}]]",
     false},
    {"glm", "think", false,
     "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Paris</arg_value></tool_call>"
     "<tool_call>now</tool_call>",
     "", "", "[" CALL_PARIS ",[\"now\",{}]]", false},
    {"glm", "think", false, "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Par",
     "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Par", "", NULL, true},

    /* ---- MiniMax M2 ---- */
    {"minimax-m2", "think", true,
     "So.\n</think>\n\n<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter "
     "name=\"city\">Paris"
     "</parameter>\n<parameter name=\"days\">3</parameter>\n</invoke>\n<invoke "
     "name=\"now\">\n</invoke>\n"
     "</minimax:tool_call>",
     "", "So.", "[[\"get_weather\",{\"city\":\"Paris\",\"days\":3}],[\"now\",{}]]", false},

    /* ---- DeepSeek ---- */
    {"deepseek-r1", "think", true,
     "Think.\n</"
     "think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
     "```json\n{\"city\": "
     "\"Paris\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n"
     "```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "", "Think.", "[" CALL_PARIS ",[\"now\",{}]]", false},
    {"deepseek-r1", "think", true, "Think.</think>Plain ｜ text", "Plain ｜ text", "Think.", NULL,
     false},
    {"deepseek-v3.1", "think", false,
     "On it.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": "
     "\"Paris\"}"
     "<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><"
     "｜tool▁calls▁end｜>",
     "On it.", "", "[" CALL_PARIS ",[\"now\",{}]]", false},
    {"deepseek-v3.1", "think", false,
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{]",
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{]", "", NULL, true},
    {"deepseek-v3.2", "think", true,
     "Hm.</think>\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke "
     "name=\"get_weather\">\n<｜DSML｜parameter "
     "name=\"city\" string=\"true\">Paris</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" "
     "string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
     "", "Hm.", "[[\"get_weather\",{\"city\":\"Paris\",\"days\":3}]]", false},

    /* ---- Llama 3 ---- */
    {"llama3", NULL, false, "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}",
     "", "", "[" CALL_PARIS "]", false},
    {"llama3", NULL, false,
     "<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}; {\"name\": "
     "\"now\", "
     "\"parameters\": {}}",
     "", "", "[" CALL_PARIS ",[\"now\",{}]]", false},
    {"llama3", NULL, false, "<|python_tag|>get_weather.call(city=\"Paris\")", "", "",
     "[" CALL_PARIS "]", false},
    {"llama3", NULL, false, "<|python_tag|>print(1 + 1)\n", "", "",
     "[[\"python\",{\"code\":\"print(1 + 1)\"}]]", false},
    {"llama3", NULL, false, "{\"type\": \"function\", \"name\": \"now\", \"parameters\": {}}", "",
     "", "[[\"now\",{}]]", false},
    {"llama3", NULL, false, "{\"name\": \"Anna\", \"parameters\": {}}",
     "{\"name\": \"Anna\", \"parameters\": {}}", "", NULL, true},
    {"llama3", NULL, false, "{\"answer\": [1, 2]}", "{\"answer\": [1, 2]}", "", NULL, true},
    {"llama3", NULL, false, "[1, 2]", "[1, 2]", "", NULL, true},
    {"llama3", NULL, false, "Say {\"name\": \"now\", \"parameters\": {}}",
     "Say {\"name\": \"now\", \"parameters\": {}}", "", NULL, false},

    /* ---- Mistral ---- */
    {"mistral", NULL, false,
     "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}, \"id\": "
     "\"abc123DEF\"}, "
     "{\"name\": \"now\", \"arguments\": {}, \"id\": \"abc123DEG\"}]",
     "", "", "[[\"get_weather\",{\"city\":\"Paris\"}],[\"now\",{}]]", false},
    {"mistral", NULL, false, "[TOOL_CALLS] [{\"id\": 7, \"name\": \"now\", \"arguments\": {}}]", "",
     "", "[[\"now\",{}]]", false},
    {"mistral", NULL, false, "[TOOL_CALLS]now[ARGS]{}", "", "", "[[\"now\",{}]]", false},
    {"mistral-args", "mistral", false,
     "[THINK]Hm.[/THINK]Wait.[TOOL_CALLS]get_weather[ARGS]{\"city\": "
     "\"Paris\"}[TOOL_CALLS]now[CALL_ID]"
     "abc123DEF[ARGS]{}",
     "Wait.", "Hm.", "[" CALL_PARIS ",[\"now\",{},\"abc123DEF\"]]", false},
    {"mistral-args", "mistral", false, "[TOOL_CALLS] are tokens.", "[TOOL_CALLS] are tokens.", "",
     NULL, true},

    /* ---- Functionary ---- */
    {"functionary-v3.1", NULL, false,
     "OK <function=get_weather>{\"city\": \"Paris\"}</function><function=now>{}</function>", "OK",
     "", "[" CALL_PARIS ",[\"now\",{}]]", false},
    {"functionary-v3.1", NULL, false, "<|python_tag|>x = 1\nprint(x)", "", "",
     "[[\"python\",{\"code\":\"x = 1\\nprint(x)\"}]]", false},
    {"functionary-v3.2", NULL, false,
     "all\nHello >>> there\n>>>get_weather\n{\"city\": \"Paris\"}>>>now\n{}", "Hello >>> there", "",
     "[" CALL_PARIS ",[\"now\",{}]]", true},
    {"functionary-v3.2", NULL, false, "get_weather\n{\"city\": \"Paris\"}", "", "",
     "[" CALL_PARIS "]", false},
    {"functionary-v3.2", NULL, false, "Just words.", "Just words.", "", NULL, true},

    /* ---- Kimi K2 ---- */
    {"kimi-k2", "think", true,
     "Hm.</think>Looking.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
     "<|tool_call_argument_begin|>{\"city\": "
     "\"Paris\"}<|tool_call_end|><|tool_call_begin|>functions.now:1"
     "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
     "Looking.", "Hm.",
     "[[\"get_weather\",{\"city\":\"Paris\"},\"functions.get_weather:0\"],[\"now\",{},\"functions."
     "now:1\"]]",
     false},

    /* ---- Command R7B, R ---- */
    {"command-r7b", "command", false,
     "<|START_THINKING|>I will look.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": "
     "\"0\", "
     "\"tool_name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}\n]<|END_ACTION|>",
     "", "I will look.", "[[\"get_weather\",{\"city\":\"Paris\"}]]", false},
    {"command-r7b", "command", false, "<|START_RESPONSE|>It rains.<|END_RESPONSE|>", "It rains.",
     "", NULL, false},
    {"command-r", NULL, false,
     "Action:\n```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        \"parameters\": "
     "{\n      "
     "      \"city\": \"Paris\"\n        }\n    }\n]```\n",
     "", "", "[" CALL_PARIS "]", false},

    /* ---- Granite, Phi-4-mini, Nemotron 2, Apertus, tool_calls ---- */
    {"granite", "think", false, "<think>Hm.</think><response>Fine.</response>", "Fine.", "Hm.",
     NULL, false},
    {"granite", "think", false,
     "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}]", "", "",
     "[" CALL_PARIS "]", false},
    {"phi4-mini", NULL, false,
     "<|tool_call|>[{\"name\": \"now\", \"arguments\": {}}]<|/tool_call|>", "", "",
     "[[\"now\",{}]]", false},
    {"phi4-mini", NULL, false, "functools[{\"name\": \"now\", \"arguments\": {}}]", "", "",
     "[[\"now\",{}]]", false},
    {"nemotron-v2", "think", true,
     "Hm.\n</think>\n\n<TOOLCALL>[{\"name\": \"get_weather\", \"arguments\": {\"city\": "
     "\"Paris\"}}, {\"name\": "
     "\"now\", \"arguments\": {}}]</TOOLCALL>",
     "", "Hm.", "[" CALL_PARIS ",[\"now\",{}]]", false},
    {"apertus", "apertus", false,
     "<|inner_prefix|>Hm.<|inner_suffix|>Look:<|tools_prefix|>[{\"get_weather\": {\"city\": "
     "\"Paris\"}}, "
     "{\"now\": {}}]<|tools_suffix|>",
     "Look:", "Hm.", "[" CALL_PARIS ",[\"now\",{}]]", false},
    {"tool-calls-tag", "apriel", true,
     "I reason.\n[BEGIN FINAL RESPONSE]\n<tool_calls>[{\"name\": \"now\", \"arguments\": {}, "
     "\"id\": \"1\"}]"
     "</tool_calls>",
     "", "I reason.", "[[\"now\",{}]]", false},
    {"tool-calls-tag", NULL, false,
     "<tool_calls>\n{\"name\": \"now\", \"arguments\": {}}\n{\"name\": \"now\", \"arguments\": "
     "{}}\n"
     "</tool_calls>",
     "", "", "[[\"now\",{}],[\"now\",{}]]", false},

    /* ---- LFM2, Llama 4, OLMo ---- */
    {"lfm2", "think", false,
     "<|tool_call_start|>[get_weather(city=\"Paris\", days=3, metric=True), "
     "now()]<|tool_call_end|>Wait.",
     "Wait.", "",
     "[[\"get_weather\",{\"city\":\"Paris\",\"days\":3,\"metric\":true}],[\"now\",{}]]", false},
    {"lfm2", "think", false,
     "<|tool_call_start|>[{\"name\": \"now\", \"arguments\": {}}]<|tool_call_end|>", "", "",
     "[[\"now\",{}]]", false},
    {"lfm2", "think", false,
     "<|tool_call_start|>[get_weather('Paris', where={'a': (1, 2.5), \"b\": None}, zip='it\\'s')]"
     "<|tool_call_end|>",
     "", "",
     "[[\"get_weather\",{\"city\":\"Paris\",\"where\":{\"a\":[1,2.5],\"b\":null},\"zip\":\"it's\"}]"
     "]",
     false},
    {"lfm2", "think", false, "<|tool_call_start|>[get_weather(city=]<|tool_call_end|>x",
     "<|tool_call_start|>[get_weather(city=]<|tool_call_end|>x", "", NULL, true},
    {"llama4", NULL, false, "[get_weather(city='Paris'), now()]", "", "",
     "[" CALL_PARIS ",[\"now\",{}]]", false},
    {"llama4", NULL, false, "[brackets(1)] are fine", "[brackets(1)] are fine", "", NULL, true},
    {"olmo3", NULL, false,
     "<function_calls>\nget_weather(city=\"Paris\")\nnow()\n</function_calls>", "", "",
     "[" CALL_PARIS ",[\"now\",{}]]", false},

    /* ---- Gemma 4, FunctionGemma ---- */
    {"gemma4", "gemma4", false,
     "<|channel>thought\nHm.\n<channel|><|tool_call>call:get_weather{city:<|\"|>Paris<|\"|>,days:3,"
     "metric:true,"
     "where:{a:[1,<|\"|>x, y}<|\"|>]}}<tool_call|>",
     "", "Hm.",
     "[[\"get_weather\",{\"city\":\"Paris\",\"days\":3,\"metric\":true,\"where\":{\"a\":[1,\"x, "
     "y}\"]}}]]",
     false},
    {"gemma4", "gemma4", false, "<|tool_call>call:now{}<tool_call|>", "", "", "[[\"now\",{}]]",
     false},
    {"functiongemma", NULL, false,
     "<start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>", "", "",
     "[" CALL_PARIS "]", false},

    /* ---- gpt-oss ---- */
    {"harmony", "harmony", false,
     "<|channel|>analysis<|message|>We need weather.<|end|><|start|>assistant<|channel|>commentary "
     "to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Paris\"}<|call|>",
     "", "We need weather.", "[" CALL_PARIS "]", false},
    {"harmony", "harmony", false,
     "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>I'"
     "ll look."
     "<|end|><|start|>assistant to=functions.now<|channel|>commentary json<|message|>{}<|call|>",
     "I'll look.", "Hm.", "[[\"now\",{}]]", false},
    {"harmony", "harmony", false, "<|channel|>final<|message|>It rains.<|return|>", "It rains.", "",
     NULL, false},
    {"harmony", "harmony", false, "<|channel|>analysis<|message|>Only thoughts", "",
     "Only thoughts", NULL, false},
    {"harmony", "harmony", false, "No heads at all", "No heads at all", "", NULL, false},
    {"harmony", "harmony", false, " to=functions.now<|channel|>commentary<|message|>{}", "", "",
     "[[\"now\",{}]]", false},
    {"harmony", "harmony", false,
     "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{oops<|call|>",
     "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{oops", "", NULL, true},

    /* ---- others ---- */
    {"solar", NULL, false,
     "<|tool_call:begin|>id_1<|tool_call:name|>get_weather<|tool_call:args|>{\"city\": \"Paris\"}"
     "<|tool_call:end|>",
     "", "", "[[\"get_weather\",{\"city\":\"Paris\"},\"id_1\"]]", false},
    {"gigachat3", NULL, false, "OK<|function_call|>{\"name\": \"now\", \"arguments\": {}}", "OK",
     "", "[[\"now\",{}]]", false},
    {"internlm2", NULL, false,
     "<|action_start|><|plugin|>\n{\"name\": \"now\", \"parameters\": {}}<|action_end|>", "", "",
     "[[\"now\",{}]]", false},
    {"minicpm5", "think", false,
     "<function name=\"write_file\"><param name=\"path\">a</param><param "
     "name=\"text\"><![CDATA[<b>\n]]></param>"
     "</function>",
     "", "", "[[\"write_file\",{\"path\":\"a\",\"text\":\"<b>\\n\"}]]", false},
    {"generic", NULL, false, "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
     "", "", "[[\"now\",{}]]", false},
};

/* The calls as the sample wants them; also: arguments are JSON. */
static void check_calls(const struct sample *s, const struct json *calls)
{
    struct error err = ERROR_INIT;
    struct json *want = NULL;
    assert_ok(js_parse(str_from(s->want ? s->want : "[]"), "the sample", &want, &err));
    CLEANUP_JSON struct json *got = js_array();
    for (size_t i = 0; i < js_len(calls); i++) {
        struct json *one = js_array(), *arguments = NULL;
        const struct json *c = js_at(calls, i);
        assert_ok(js_parse(js_get_str(c, "arguments"), "the arguments", &arguments, &err));
        js_push(one, js_ref(js_get(c, "name")));
        js_push(one, arguments);
        if (js_get(c, "id"))
            js_push(one, js_ref(js_get(c, "id")));
        js_push(got, one);
    }
    if (!js_equal(got, want))
        fail_msg("%s: %s\ncalls: %s\nwanted: %s", s->calls, s->text, js_text(got, JS_COMPACT),
                 s->want);
    js_free(want);
}

static bool same(const struct buf *got, const char *want)
{
    return str_eq_c(buf_str(got), want);
}

static void check_cut(const struct sample *s, const struct dialect *d, struct str text, size_t cut,
                      const struct dialect_options *o)
{
    struct answer a = answer_parse(d, o, text, cut);
    if (!same(&a.content, s->content))
        fail_msg("%s, cut %zd, eager %d: %s\ncontent: '%s'\nwanted:  '%s'", s->calls, (ssize_t)cut,
                 o->eager, s->text, buf_cstr(&a.content), s->content);
    if (!same(&a.reasoning, s->reasoning))
        fail_msg("%s, cut %zd, eager %d: %s\nreasoning: '%s'\nwanted:    '%s'", s->calls,
                 (ssize_t)cut, o->eager, s->text, buf_cstr(&a.reasoning), s->reasoning);
    check_calls(s, a.calls);
    answer_free(&a);
}

static void test_parser__samples_cut_everywhere(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct json *tools;
    assert_ok(js_parse(str_from(tools_text), "the tools", &tools, &err));
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        struct dialect d = {.calls = dialect_call_format(str_from(s->calls)), .has_tools = true};
        if (s->reasoning_format)
            d.reasoning = dialect_reasoning_format(str_from(s->reasoning_format));
        assert_non_null(d.calls);
        assert_true(!s->reasoning_format || d.reasoning);
        CLEANUP_BUF struct buf marked = BUF_INIT(ANSWER_MAX);
        answer_mark(str_from(s->text), &marked);
        for (int form = 0; form < 2; form++) {
            struct str text = form ? buf_str(&marked) : str_from(s->text);
            for (int eager = 0; eager <= !s->broken; eager++) {
                const struct dialect_options o = {
                    .tools = tools, .eager = eager, .reasoning_is_open = s->open};
                check_cut(s, &d, text, SIZE_MAX, &o);
                for (size_t cut = 0; cut < text.len; cut++)
                    check_cut(s, &d, text, cut, &o);
            }
        }
    }
    js_free(tools);
}

/* In eager mode arguments go out while the call is being written. */
static void test_parser__eager_streams_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *calls, *text;
    } rows[] = {
        {"hermes", "<tool_call>{\"name\": \"write_file\", \"arguments\": {\"path\": \"a\", "
                   "\"text\": \"hello"},
        {"qwen3-coder", "<tool_call>\n<function=write_file>\n<parameter=path>\na\n</parameter>\n"
                        "<parameter=text>\nhello"},
        {"harmony", "<|channel|>commentary to=functions.write_file<|message|>{\"path\": \"a\", "
                    "\"text\": \"hello"},
    };
    struct error err = ERROR_INIT;
    struct json *tools;
    assert_ok(js_parse(str_from(tools_text), "the tools", &tools, &err));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct dialect d = {.calls = dialect_call_format(str_from(rows[i].calls))};
        const struct dialect_options o = {.tools = tools, .eager = true};
        struct dialect_parser *p = dialect_parser_new(&d, &o);
        struct answer a = answer_new();
        dialect_parser_feed(p, str_from(rows[i].text));
        answer_drain(&a, p);
        assert_int_equal(js_len(a.calls), 1);
        assert_str(js_get_str(js_at(a.calls, 0), "arguments"),
                   "{\"path\": \"a\", \"text\": \"hello");
        dialect_parser_finish(p); /* cut: what is out stays */
        answer_drain(&a, p);
        assert_int_equal(js_len(a.calls), 1);
        assert_int_equal(a.content.len, 0);
        answer_free(&a);
        dialect_parser_free(p);
    }
    js_free(tools);
}

/* Without tools a call is text; reasoning can stay where it is. */
static void test_parser__options(void **state)
{
    (void)state;
    static const char text[] = "<think>\nHm.\n</think>\n\nYes. <tool_call>{}</tool_call>";
    const struct dialect d = {.calls = dialect_call_format(STR("hermes")),
                              .reasoning = dialect_reasoning_format(STR("think"))};
    struct dialect_options o = {0};
    struct answer a = answer_parse(&d, &o, STR(text), SIZE_MAX);
    assert_str(buf_str(&a.content), "Yes. <tool_call>{}</tool_call>");
    assert_str(buf_str(&a.reasoning), "Hm.");
    answer_free(&a);
    o.keep_reasoning = true;
    a = answer_parse(&d, &o, STR(text), SIZE_MAX);
    assert_str(buf_str(&a.content), text);
    assert_int_equal(a.reasoning.len, 0);
    answer_free(&a);
    o.reasoning_is_open = true;
    a = answer_parse(&d, &o, STR("Hm.\n</think>\nYes.\n"), SIZE_MAX);
    assert_str(buf_str(&a.content), "Hm.\n</think>\nYes.\n");
    answer_free(&a);
}

/* A control token that is no mark is not content. */
static void test_parser__control_tokens(void **state)
{
    (void)state;
    const struct dialect d = {.calls = dialect_call_format(STR("hermes")),
                              .reasoning = dialect_reasoning_format(STR("think"))};
    const struct dialect_options o = {0};
    struct answer a = answer_parse(&d, &o,
                                   STR("A\xff<|x|>\xff"
                                       "B\xff<tool_calls>\xff"
                                       "C"),
                                   SIZE_MAX);
    assert_str(buf_str(&a.content), "ABC");
    answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parser__samples_cut_everywhere),
        cmocka_unit_test(test_parser__eager_streams_arguments),
        cmocka_unit_test(test_parser__options),
        cmocka_unit_test(test_parser__control_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
