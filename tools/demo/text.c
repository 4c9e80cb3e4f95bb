/* SPDX-License-Identifier: Apache-2.0
 *
 * The demo model's texts.
 *
 * An answer is kept as: topic, the last word, the one before and the third one before → the next
 * word. Where these stand twice in one answer they must go on in the same way; the maker checks. */
#include "text.h"

#include "base/compiler.h"

const struct demo_topic demo_topics[] = {
    {"unknown", "",
     "I do not know that: I am only the demo model of model-runner, constructed by hand to show "
     "that everything works. Ask me who I am, or get a real model with `docker model pull "
     "ai/smollm2` and then talk to it: `docker model run smollm2`."},
    {"self", "you yourself hello hi hey demo name who introduce",
     "Hello! I am the demo model of model-runner: a tiny transformer whose weights were "
     "constructed by a program, not trained. I know a few answers about this project and nothing "
     "else. For a real model, type `docker model pull ai/smollm2` and then `docker model run smollm2`."},
    {"project", "runner project",
     "model-runner is Docker Model Runner, written in C. It runs large language models on your own "
     "machine as easily as containers: models are pulled from a registry, kept in a store, loaded "
     "when a request needs them and served with the OpenAI API. Start with `docker model pull "
     "ai/smollm2`."},
    {"pull", "pull download fetch get install hugging face hub registry real other",
     "Type `docker model pull ai/smollm2`. The model comes from Docker Hub, every byte is checked "
     "against its digest, and a broken download goes on where it stopped. Any registry works, and "
     "so does a name such as `hf.co/org/model`."},
    {"run", "run start chat use talk try",
     "Type `docker model run ai/smollm2` for a chat, or put a question behind it for one answer. "
     "A path to a `.gguf` file works too. The model is loaded when it is needed and leaves the "
     "memory when it has been idle."},
    {"list", "list ls which show inspect",
     "Type `docker model list` to see the models in the store; `docker model inspect NAME` shows all "
     "about one of them, and `docker model ps` tells which ones are in memory now."},
    {"remove", "remove delete rm unload stop",
     "Type `docker model rm NAME` to take a model out of the store and get its space back; layers that "
     "another model shares stay. To free only the memory, use `docker model unload NAME`."},
    {"containers", "docker container containers compose image",
     "A model is an artifact in a registry, as a container image is, but it never runs inside a "
     "container: an engine process on the host reaches the processor and the GPU directly. "
     "Containers talk to it over HTTP at `model-runner.docker.internal`."},
    {"api", "api openai curl http port endpoint sdk client url server json",
     "The runner serves the OpenAI API: send a POST request to `/v1/chat/completions` on its "
     "socket or, when TCP is on, on port 12434. Existing clients work when their base URL points "
     "there; they need no key."},
    {"privacy", "private privacy data secur safe offline internet cloud secret",
     "Your prompts stay on your machine. The engine has no network, a model file is checked before "
     "it is used, and the socket belongs to you alone. Nothing is sent to anybody."},
    {"speed", "fast speed slow gpu cpu memory quick",
     "I am fast because I am tiny. Real models are read once and kept in memory; their kernels are "
     "chosen for your processor when the engine starts. `model-engine bench` measures the tokens "
     "per second on this machine."},
    {"store", "store where disk space file folder",
     "Models are kept in `~/.docker/models`, in the layout that Docker uses: blobs are named by "
     "their digest, so two models share what they have in common. `docker model df` tells how much "
     "space they take."},
    {"inside", "work trained constructed transformer attention engine inside weights built",
     "I have two layers. The first one looks back at the last words and finds out who is speaking; "
     "the second one finds the word in your question that tells the topic, and picks the next word "
     "of the answer. A small C program wrote my weights; it is in `tools/demo`."},
};

const size_t demo_n_topics = ARRAY_LEN(demo_topics);
