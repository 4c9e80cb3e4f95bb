/* SPDX-License-Identifier: Apache-2.0
 *
 * Model objects as JSON text. The config is text already, so that a list of thousands is put
 * together without building values. */
#include "models/models.h"
#include "oci/map.h"

static void text_member(struct buf *out, const char *key, const char *value, bool *first)
{
    if (!value || !*value)
        return;
    buf_printf(out, "%s\"%s\":", *first ? "" : ",", key);
    oci_write_string(str_from(value), out);
    *first = false;
}

void model_info_write(const struct model_info *i, struct buf *out)
{
    buf_printf(out, "{\"id\":\"%s\"", i->id);
    for (size_t k = 0; k < i->n_tags; k++) {
        buf_append_c(out, k ? "," : ",\"tags\":[");
        oci_write_string(str_from(i->tags[k]), out);
    }
    buf_printf(out, "%s,\"created\":%lld,\"config\":", i->n_tags ? "]" : "", (long long)i->created);
    buf_append_c(out, i->config_json);
    buf_push(out, '}');
}

void model_info_write_openai(const struct model_info *i, struct buf *out)
{
    buf_append_c(out, "{\"id\":");
    oci_write_string(str_from(i->n_tags ? i->tags[0] : i->id), out);
    buf_printf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"docker\",\"dmr\":{",
               (long long)i->created);
    bool first = true;
    if (i->context_size > 0) {
        buf_printf(out, "\"context_window\":%d", i->context_size);
        first = false;
    }
    text_member(out, "architecture", i->architecture, &first);
    text_member(out, "parameters", i->parameters, &first);
    text_member(out, "quantization", i->quantization, &first);
    text_member(out, "size", i->size, &first);
    buf_append_c(out, "}}");
}

void model_list_write(const struct model_list *l, struct buf *out)
{
    buf_push(out, '[');
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            buf_push(out, ',');
        model_info_write(&l->items[i], out);
    }
    buf_push(out, ']');
}

void model_list_write_openai(const struct model_list *l, struct buf *out)
{
    buf_append_c(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            buf_push(out, ',');
        model_info_write_openai(&l->items[i], out);
    }
    buf_append_c(out, "]}");
}
