/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a program: a configuration is the set of all stacks that the bytes so far may have led to.
 * Stacks share their lower parts and equal ones are one, so configurations are compared by number
 * and their steps are remembered. */
#ifndef ENGINE_GRAMMAR_MACHINE_H
#define ENGINE_GRAMMAR_MACHINE_H

#include "engine/grammar/program.h"

enum { CONFIG_DEAD = 0, FRAME_OUTSIDE = 0, CONFIG_FRAMES_MAX = 4096 };

struct frame {
    uint32_t state, count, parent; /* parent: a frame, FRAME_OUTSIDE at the bottom */
    uint32_t stamp;
};

struct config {
    uint32_t first, n; /* in members */
    bool ended;        /* a stack has come to its end */
};

struct machine {
    const struct program *p;
    struct frame *frames;
    struct config *configs;
    uint32_t *members;
    uint32_t n_frames, n_configs, n_members;
    uint32_t cap_frames, cap_configs, cap_members;
    uint32_t *frame_hash, *config_hash; /* 0 = free */
    uint32_t n_frame_hash, n_config_hash;
    struct {
        uint64_t key;
        uint32_t config;
    } * steps; /* key: config << 8 | class, 0 = free */
    uint32_t n_steps, cap_steps;
    uint32_t *found, n_found, cap_found, stamp;
    bool found_end;
    bool full; /* a limit was reached */
};

void machine_init(struct machine *m, const struct program *p);
void machine_release(struct machine *m);
/* The configuration of one stack: a state above `parent`. */
uint32_t machine_enter(struct machine *m, uint32_t state, uint32_t count, uint32_t parent);
/* … of the frame alone, without what it calls. */
uint32_t machine_alone(struct machine *m, uint32_t state, uint32_t count, uint32_t parent);
/* … of what comes when the frame above `parent` has ended. */
uint32_t machine_leave(struct machine *m, uint32_t parent);
uint32_t machine_step(struct machine *m, uint32_t config, uint8_t byte);
/* Forgets everything but this configuration if there is much to forget; its new number. */
uint32_t machine_compact(struct machine *m, uint32_t config, bool *ret_forgot);

#endif
