/*
 * One session until it is connected: watched, then handed over.
 *
 * nginx's stream proxy has no hook after the connect. What it has are four
 * events (read and write of client and upstream) and, while a name is being
 * resolved, one call more: only from these, and from the content handler, does
 * it ever come to connect. So the module stands before each of them, lets
 * nginx's own handler do its work, and looks at the session afterwards: as
 * soon as it is connected, it is handed over. No copy of nginx's code, nothing
 * that is private to it but what ngx_stream_upstream.h shows; and every way of
 * connecting is seen, next upstreams, variables and resolvers among them. Of
 * the alternatives, a filter sees no session before its first bytes, and
 * a load balancer's notify() is not there for names with variables.
 */

#include "ngx_stream_penstock.h"


/* what the engine takes of bytes that were read already */
#define NGX_STREAM_PENSTOCK_EARLY  65536


static ngx_uint_t ngx_stream_penstock_may_take(ngx_stream_penstock_ctx_t *ctx);
static void ngx_stream_penstock_cleanup(void *data);
static void ngx_stream_penstock_watched(ngx_event_t *ev);
static void ngx_stream_penstock_resolved(ngx_resolver_ctx_t *rctx);
static void ngx_stream_penstock_look(ngx_stream_penstock_ctx_t *ctx);
static size_t ngx_stream_penstock_size(ngx_chain_t *cl);


void
ngx_stream_penstock_handler(ngx_stream_session_t *s)
{
    ngx_uint_t                       gone;
    ngx_pool_cleanup_t              *cln;
    ngx_stream_penstock_ctx_t       *ctx;
    ngx_stream_penstock_srv_conf_t  *pscf;

    pscf = ngx_stream_get_module_srv_conf(s, ngx_stream_penstock_module);

    cln = ngx_pool_cleanup_add(s->connection->pool,
                               sizeof(ngx_stream_penstock_ctx_t));
    if (cln == NULL) {
        ngx_stream_finalize_session(s, NGX_STREAM_INTERNAL_SERVER_ERROR);
        return;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_stream_penstock_ctx_t));

    cln->handler = ngx_stream_penstock_cleanup;

    ctx->session = s;
    ngx_stream_set_ctx(s, ctx, ngx_stream_penstock_module);

    if (!ngx_stream_penstock_may_take(ctx)) {
        pscf->handler(s);
        return;
    }

    gone = 0;
    ctx->gone = &gone;

    pscf->handler(s);

    if (!gone) {
        ngx_stream_penstock_look(ctx);
    }
}


/* another server may have begun with the client, and passed it on to this */

static ngx_uint_t
ngx_stream_penstock_may_take(ngx_stream_penstock_ctx_t *ctx)
{
    if (ngx_stream_penstock_engine() == 0) {
        ngx_stream_penstock_keep(ctx, "no engine",
                                 "there is no engine in this worker", 0);
        return 0;
    }

#if (NGX_SSL || NGX_COMPAT)
    if (ctx->session->connection->ssl) {
        ngx_stream_penstock_keep(ctx, "TLS",
                                 "it speaks TLS with the client", 0);
        return 0;
    }
#endif

    return 1;
}


static void
ngx_stream_penstock_cleanup(void *data)
{
    ngx_stream_penstock_ctx_t  *ctx = data;

    if (ctx->gone) {
        *ctx->gone = 1;
    }
}


static void
ngx_stream_penstock_watched(ngx_event_t *ev)
{
    ngx_uint_t                  gone;
    ngx_connection_t           *c;
    ngx_stream_session_t       *s;
    ngx_stream_penstock_ctx_t  *ctx;

    c = ev->data;
    s = c->data;

    ctx = ngx_stream_get_module_ctx(s, ngx_stream_penstock_module);

    gone = 0;
    ctx->gone = &gone;

    if (c == s->connection) {
        ctx->client_handler(ev);

    } else {
        ctx->upstream_handler(ev);
    }

    if (!gone) {
        ngx_stream_penstock_look(ctx);
    }
}


static void
ngx_stream_penstock_resolved(ngx_resolver_ctx_t *rctx)
{
    ngx_uint_t                  gone;
    ngx_stream_session_t       *s;
    ngx_stream_penstock_ctx_t  *ctx;

    s = rctx->data;

    ctx = ngx_stream_get_module_ctx(s, ngx_stream_penstock_module);

    gone = 0;
    ctx->gone = &gone;

    ctx->resolve_handler(rctx);

    if (!gone) {
        ngx_stream_penstock_look(ctx);
    }
}


/* nginx has done what was to do just now: can the session be handed over? */

static void
ngx_stream_penstock_look(ngx_stream_penstock_ctx_t *ctx)
{
    ngx_stream_upstream_t  *u;

    ctx->gone = NULL;

    u = ctx->session->upstream;

    if (u == NULL) {
        return;
    }

    if (u->connected) {
        ctx->early[0] = ngx_stream_penstock_size(u->upstream_busy)
                        + ngx_stream_penstock_size(u->upstream_out);
        ctx->early[1] = ngx_stream_penstock_size(u->downstream_busy)
                        + ngx_stream_penstock_size(u->downstream_out);

        /* with larger buffers, only once nginx has sent enough of them */

        if (ctx->early[0] <= NGX_STREAM_PENSTOCK_EARLY
            && ctx->early[1] <= NGX_STREAM_PENSTOCK_EARLY)
        {
            ngx_stream_penstock_hand_over(ctx);
            return;
        }
    }

    ngx_stream_penstock_watch(ctx);
}


/* nginx has set its handlers anew, or has a new upstream: stand before them */

void
ngx_stream_penstock_watch(ngx_stream_penstock_ctx_t *ctx)
{
    ngx_connection_t       *c, *pc;
    ngx_resolver_ctx_t     *rctx;
    ngx_stream_upstream_t  *u;

    c = ctx->session->connection;
    u = ctx->session->upstream;
    pc = u->peer.connection;
    rctx = u->resolved ? u->resolved->ctx : NULL;

    if (c->read->handler != ngx_stream_penstock_watched) {
        ctx->client_handler = c->read->handler;
        c->read->handler = ngx_stream_penstock_watched;
        c->write->handler = ngx_stream_penstock_watched;
    }

    if (pc && pc->read->handler != ngx_stream_penstock_watched) {
        ctx->upstream_handler = pc->read->handler;
        pc->read->handler = ngx_stream_penstock_watched;
        pc->write->handler = ngx_stream_penstock_watched;
    }

    if (rctx && rctx->handler != ngx_stream_penstock_resolved) {
        ctx->resolve_handler = rctx->handler;
        rctx->handler = ngx_stream_penstock_resolved;
    }
}


/* the handlers of a connected session are nginx's own again */

void
ngx_stream_penstock_unwatch(ngx_stream_penstock_ctx_t *ctx)
{
    ngx_connection_t  *c, *pc;

    c = ctx->session->connection;
    pc = ctx->session->upstream->peer.connection;

    c->read->handler = ctx->client_handler;
    c->write->handler = ctx->client_handler;
    pc->read->handler = ctx->upstream_handler;
    pc->write->handler = ctx->upstream_handler;
}


static size_t
ngx_stream_penstock_size(ngx_chain_t *cl)
{
    size_t  size;

    size = 0;

    for ( /* void */ ; cl; cl = cl->next) {
        size += cl->buf->last - cl->buf->pos;
    }

    return size;
}
