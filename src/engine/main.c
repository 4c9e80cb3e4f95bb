/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine: the built-in engine, one process per loaded model. This file is its table of verbs
 * and their documentation. */
#include "base/opt.h"
#include "engine/verbs/verbs.h"

/* The columns of the examples matter more than those of this file. */
/* clang-format off */
static const struct command commands[] = {
    {
        .name = "serve",
        .summary = "Serve a model over HTTP",
        .details =
            "Listens first and loads the model then: until it is ready every request is answered\n"
            "with status 503. SIGTERM and SIGINT end the server.\n"
            "\n"
            "  GET  /health                200 when ready, 503 while loading\n"
            "  GET  /v1/models, /props, /slots, /metrics\n"
            "  GET, POST /lora-adapters    the scales of --lora; \"lora\" in requests\n"
            "  POST /v1/chat/completions   OpenAI's fields and llama-server's; \"stream\"\n"
            "  POST /v1/completions        the same with \"prompt\" in place of \"messages\"\n"
            "  POST /tokenize, /detokenize, /apply-template\n"
            "\n"
            "The context size is tokens per sequence, prompt and answer together. Without\n"
            "--ctx-size it is that of the model's training, or less if the caches of all\n"
            "sequences would take more than half of the free memory; the log, /props and\n"
            "/v1/models say what it is. A prompt that does not fit is refused.\n"
            "\n"
            "The options from --temp on are for requests that leave these fields out.\n"
            "\n"
            "On Linux the process confines itself before it opens the model: it cannot open\n"
            "connections, start programs or write files any more. A socket file it made\n"
            "therefore stays behind; the next server at that path replaces it.",
        .opts = verb_serve_opts,
        .run = verb_serve,
    },
    {
        .name = "generate",
        .summary = "Continue a prompt; print the text as it comes",
        .details = "The prompt is taken as it is, without a chat template. With --temp 0 the\n"
                   "answer is always the same.",
        .opts = verb_generate_opts,
        .run = verb_generate,
    },
    {
        .name = "tokenize",
        .summary = "Turn text into token ids and back, JSON lines",
        .details =
            "Reads one JSON object per line from standard input and answers each with one line.\n"
            "\n"
            "  {\"text\":\"Hi\",\"add_special\":true,\"parse_special\":true}  ->  {\"ids\":[1,6324]}\n"
            "  {\"ids\":[1,6324]}                                       ->  {\"text\":\"<s> Hi\"}\n"
            "\n"
            "add_special puts the tokens in that begin or end a text where the vocabulary wants\n"
            "them; parse_special turns the texts of control tokens into these tokens; both are\n"
            "true when left out. The text of ids includes special tokens; where its bytes are not\n"
            "UTF-8, \"text_hex\" has them. A line that cannot be answered gives {\"error\":\"...\"}.\n"
            "Only the header of the file is read.",
        .opts = verb_tokenize_opts,
        .run = verb_tokenize,
    },
    {
        .name = "render",
        .summary = "Render a chat template, JSON lines",
        .details =
            "Reads one JSON object per line from standard input and answers each with one line.\n"
            "\n"
            "  {\"vars\":{\"messages\":[...],\"add_generation_prompt\":true}}  ->  {\"text\":\"...\"}\n"
            "\n"
            "Where the template calls raise_exception, the answer is {\"raised\":\"...\"}. A line that\n"
            "cannot be rendered gives {\"error\":\"...\"}.",
        .opts = verb_render_opts,
        .run = verb_render,
    },
    {
        .name = "constrain",
        .summary = "Say what a JSON schema or a GBNF grammar allows, JSON lines",
        .details =
            "Reads one JSON object per line from standard input and answers each with one line.\n"
            "\n"
            "  {\"schema\":{\"type\":\"integer\"},\"text\":\"12\"}  ->  "
            "{\"accept\":true,\"possible\":true}\n"
            "  {\"gbnf\":\"root ::= [0-9]+\",\"text\":\"x\"}   ->  "
            "{\"accept\":false,\"possible\":false}\n"
            "\n"
            "accept: the whole text is a finished answer; possible: it is the beginning of one. A\n"
            "schema or grammar that is refused gives {\"error\":\"...\"}.",
        .opts = verb_constrain_opts,
        .run = verb_constrain,
    },
    {
        .name = "eval",
        .summary = "Compute logits of token ids, JSON lines",
        .details =
            "Reads one JSON object per line from standard input and answers each with one line.\n"
            "\n"
            "  {\"ids\":[1,6324],\"top\":2}               ->  {\"top\":[[29892,9.25],[727,8.5]]}\n"
            "  {\"ids\":[1,6324],\"top\":2,\"greedy\":3}    ->  the same and \"greedy_ids\":[29892,727,29991]\n"
            "\n"
            "top: pairs of id and raw logit at the last position, best first (20 of them by\n"
            "default). greedy: that many tokens decoded one at a time, always the best one; an\n"
            "end-of-text token does not stop it. \"nll\":true: the negative log-probability of every\n"
            "id but the first; exp of their mean is the perplexity. The ids are taken as they are,\n"
            "nothing is added.\n"
            "A line that cannot be answered gives {\"error\":\"...\"}.",
        .opts = verb_eval_opts,
        .run = verb_eval,
    },
    {
        .name = "embed",
        .summary = "Compute vectors of texts, JSON lines",
        .details =
            "Reads one JSON object per line from standard input and answers each with one line.\n"
            "\n"
            "  {\"text\":\"Hello\"}         ->  {\"embedding\":[0.0123,-0.4567,...]}\n"
            "  {\"ids\":[101,7592,102]}   ->  the same of these tokens, to which nothing is added\n"
            "\n"
            "The vector is pooled as the model wants it and has length 1, unless --raw is given.\n"
            "With --pooling none every token has a vector; a ranking model gives its scores.\n"
            "A line that cannot be answered gives {\"error\":\"...\"}.",
        .opts = verb_embed_opts,
        .run = verb_embed,
    },
    {
        .name = "info",
        .summary = "Print what a model file is, as one JSON object",
        .opts = verb_info_opts,
        .run = verb_info,
    },
    {
        .name = "bench",
        .summary = "Measure how fast prompts are read and tokens generated",
        .details =
            "Each test runs once to warm up and then as often as --repetitions says; the rates\n"
            "are tokens per second. With --json every test gives a line:\n"
            "\n"
            "  {\"test\":\"pp512\",\"threads\":4,\"median\":812.5,\"min\":801.2,\"max\":815.9}\n"
            "  {\"test\":\"tg128\",\"threads\":4,\"median\":41.3,\"min\":41.0,\"max\":41.5}\n"
            "\n"
            "pp512: a prompt of 512 tokens; tg128: 128 tokens generated one by one.",
        .opts = verb_bench_opts,
        .run = verb_bench,
    },
    {
        .name = "import",
        .args = "DIR OUT",
        .summary = "Make a GGUF file of a directory of safetensors",
        .details =
            "  model-engine import SmolLM2-135M-Instruct model.gguf --type Q8_0\n"
            "\n"
            "DIR is a model as Hugging Face publishes it: config.json, tokenizer.json or\n"
            "tokenizer.model, tokenizer_config.json, *.safetensors. The kinds of models that can be\n"
            "imported (architectures in config.json): LlamaForCausalLM, MistralForCausalLM,\n"
            "MixtralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Qwen3MoeForCausalLM,\n"
            "GemmaForCausalLM, Gemma2ForCausalLM, Gemma3ForCausalLM, Phi3ForCausalLM,\n"
            "GraniteForCausalLM, SmolLM3ForCausalLM. Whatever else would be computed differently\n"
            "from what its files say is refused by name.\n"
            "\n"
            "--type takes the types of quantize. OUT appears when it is complete.",
        .opts = verb_import_opts,
        .min_args = 2,
        .max_args = 2,
        .complete = COMPLETE_FILES,
        .run = verb_import,
    },
    {
        .name = "quantize",
        .args = "IN OUT",
        .summary = "Make a GGUF file with smaller weights",
        .details =
            "  model-engine quantize model-F16.gguf model-Q4_K_M.gguf --type Q4_K_M\n"
            "\n"
            "Types: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, Q4_1,\n"
            "Q4_0, IQ4_NL, IQ4_XS, Q3_K_L, Q3_K_M, Q3_K_S, Q2_K, Q2_K_S, TQ1_0, TQ2_0, MXFP4_MOE.\n"
            "Names ending in _S, _M, _L are mixtures, with more bits where they matter most, by the\n"
            "rules of llama.cpp; the others keep the output matrix finer as well. --pure mixes\n"
            "nothing.\n"
            "\n"
            "IN may be the first of several parts; OUT is one file. All metadata is kept. Weights\n"
            "whose rows are no whole number of blocks get a type with shorter blocks; each is said.\n"
            "OUT appears when it is complete. An importance matrix is a file of llama.cpp's imatrix\n"
            "tool.",
        .opts = verb_quantize_opts,
        .min_args = 2,
        .max_args = 2,
        .complete = COMPLETE_FILES,
        .run = verb_quantize,
    },
    {
        .name = "version",
        .summary = "Print the version",
        .run = verb_version,
    },
    COMMAND_END,
};
/* clang-format on */

const struct program model_engine_program = {
    .name = "model-engine",
    .man_name = "model-engine",
    .version = MR_VERSION,
    .summary = "Run language models from GGUF files",
    .details =
        "The built-in engine of Docker Model Runner. The daemon, model-runner, starts one process\n"
        "of it per loaded model and talks to it over HTTP on a Unix socket; it can as well be run\n"
        "by hand. The verbs tokenize, render, eval and embed are for people who build and check the\n"
        "engine: they read JSON lines from standard input, answer each line with exactly one "
        "line,\n"
        "flushed, and report trouble with a line as {\"error\":\"...\"} on its answer line.",
    .commands = commands,
    .man_extra = ".SH ENVIRONMENT\n"
                 ".TP\n.B MR_CPU\nuse no better instructions than these: scalar, avx2, avx512\n"
                 ".SH EXIT STATUS\n0 on success, 1 on an error, 130 when interrupted; 3 when\n"
                 ".B serve\ndoes not know the architecture or the format of a model.\n"
                 ".SH SEE ALSO\n.BR model-runner (1),\n.BR docker-model (1)\n",
};

int main(int argc, char **argv)
{
    return opt_dispatch(&model_engine_program, argc - 1, argv + 1);
}
