/*
 * One session from its handing over to its end.
 *
 *   connected --taken----> on --completion--> nginx's own handler: end, log
 *             --refused--> as if the module were not there
 *
 * What nginx has read and not yet sent goes along, a PROXY protocol header
 * among it. nginx's descriptors stay open and counted, out of its event loop:
 * the engine has duplicates. A timer that has nothing to say keeps a worker
 * alive that is to leave, since nginx waits for timers alone. The end is
 * nginx's own, too: the module says what nginx would have seen (both ends of
 * stream, or a timer that fired) and calls nginx's handler.
 */

#include "ngx_stream_penstock.h"


#define NGX_STREAM_PENSTOCK_KEEP   3600000
#define NGX_STREAM_PENSTOCK_RETRY  100


static ngx_int_t ngx_stream_penstock_pass(ngx_stream_penstock_ctx_t *ctx,
    u_char *early);
static void ngx_stream_penstock_refused(ngx_stream_penstock_ctx_t *ctx,
    penstock_status status);
static void ngx_stream_penstock_fall_back(ngx_stream_penstock_ctx_t *ctx,
    const char *reason, const char *text, ngx_err_t err);
static void ngx_stream_penstock_let_go(ngx_connection_t *c);
static void ngx_stream_penstock_on(ngx_event_t *ev);
static void ngx_stream_penstock_cancel(ngx_stream_penstock_ctx_t *ctx);
static void ngx_stream_penstock_count(ngx_stream_penstock_ctx_t *ctx,
    const penstock_completion *completion);
static void ngx_stream_penstock_log_end(ngx_stream_penstock_ctx_t *ctx,
    const penstock_completion *completion);
static u_char *ngx_stream_penstock_copy(u_char *p, ngx_chain_t *cl);
static void ngx_stream_penstock_free(ngx_pool_t *pool, ngx_buf_t *b);


void
ngx_stream_penstock_hand_over(ngx_stream_penstock_ctx_t *ctx)
{
    u_char                 *early;
    ngx_connection_t       *c, *pc;
    ngx_stream_upstream_t  *u;

    c = ctx->session->connection;
    u = ctx->session->upstream;
    pc = u->peer.connection;

    /* so that nginx's handlers are known, to whichever of two it may come */

    ngx_stream_penstock_watch(ctx);

    if (!ngx_stream_penstock_has_room()) {
        ngx_stream_penstock_fall_back(ctx, "full",
                                      "as many tunnels as the descriptors of "
                                      "this worker allow, which "
                                      "worker_rlimit_nofile can raise", 0);
        return;
    }

    early = ngx_alloc(ctx->early[0] + ctx->early[1] + 1, c->log);
    if (early == NULL) {
        ngx_stream_penstock_fall_back(ctx, "no memory", "no memory", 0);
        return;
    }

    ngx_stream_penstock_copy(
        ngx_stream_penstock_copy(early, u->upstream_busy), u->upstream_out);
    ngx_stream_penstock_copy(
        ngx_stream_penstock_copy(early + ctx->early[0], u->downstream_busy),
        u->downstream_out);

    if (ngx_stream_penstock_pass(ctx, early) == NGX_OK) {
        ctx->on = 1;

        ngx_stream_penstock_let_go(c);
        ngx_stream_penstock_let_go(pc);

        u->upstream_out = NULL;
        u->upstream_busy = NULL;
        u->downstream_out = NULL;
        u->downstream_busy = NULL;

        ngx_stream_penstock_free(c->pool, &u->upstream_buf);
        ngx_stream_penstock_free(c->pool, &u->downstream_buf);

        if (c->buffer) {
            ngx_stream_penstock_free(c->pool, c->buffer);
        }

        ngx_add_timer(c->write, NGX_STREAM_PENSTOCK_KEEP);
    }

    ngx_free(early);
}


static ngx_int_t
ngx_stream_penstock_pass(ngx_stream_penstock_ctx_t *ctx, u_char *early)
{
    int                              client, upstream;
    char                             name[256];
    penstock_status                  status;
    ngx_stream_session_t            *s;
    penstock_tunnel_options          options;
    ngx_stream_penstock_srv_conf_t  *pscf;

    s = ctx->session;
    pscf = ngx_stream_get_module_srv_conf(s, ngx_stream_penstock_module);

    client = fcntl(s->connection->fd, F_DUPFD_CLOEXEC, 0);
    upstream = fcntl(s->upstream->peer.connection->fd, F_DUPFD_CLOEXEC, 0);

    if (client == -1 || upstream == -1) {
        ngx_stream_penstock_fall_back(ctx, "no descriptors",
                                      "fcntl(F_DUPFD_CLOEXEC) failed",
                                      ngx_errno);
        goto failed;
    }

    ngx_snprintf((u_char *) name, sizeof(name) - 1, "%V%Z",
                 s->upstream->peer.name);
    name[sizeof(name) - 1] = '\0';

    PENSTOCK_INIT(options);

    options.half_close = pscf->half_close ? PENSTOCK_HALF_CLOSE_FORWARD
                                          : PENSTOCK_HALF_CLOSE_CLOSE;
    options.target_name = name;
    options.client_early = ctx->early[0] ? early : NULL;
    options.client_early_length = ctx->early[0];
    options.target_early = ctx->early[1] ? early + ctx->early[0] : NULL;
    options.target_early_length = ctx->early[1];
    options.idle_ms = pscf->timeout ? pscf->timeout : 1;
    options.user_data = ctx;

    status = ngx_stream_penstock_join(client, upstream, &options, &ctx->id);

    if (status == PENSTOCK_OK) {
        return NGX_OK;
    }

    ngx_stream_penstock_refused(ctx, status);

failed:

    if (client != -1) {
        (void) close(client);
    }

    if (upstream != -1) {
        (void) close(upstream);
    }

    return NGX_DECLINED;
}


static void
ngx_stream_penstock_refused(ngx_stream_penstock_ctx_t *ctx,
    penstock_status status)
{
    char  error[512];

    error[0] = '\0';
    (void) penstock_last_error(error, sizeof(error));

    ngx_stream_penstock_fall_back(ctx,
                                  status == PENSTOCK_FULL ? "full"
                                  : status == PENSTOCK_BUSY ? "busy"
                                  : penstock_status_text(status),
                                  error[0] ? error
                                           : penstock_status_text(status), 0);
}


static void
ngx_stream_penstock_fall_back(ngx_stream_penstock_ctx_t *ctx,
    const char *reason, const char *text, ngx_err_t err)
{
    ngx_stream_penstock_keep(ctx, reason, text, err);
    ngx_stream_penstock_unwatch(ctx);
}


void
ngx_stream_penstock_keep(ngx_stream_penstock_ctx_t *ctx, const char *reason,
    const char *text, ngx_err_t err)
{
    ngx_log_error(NGX_LOG_WARN, ctx->session->connection->log, err,
                  "penstock: nginx carries this session by itself: %s", text);

    ctx->reason = reason;
}


/* out of the event loop: from now on the engine reads and writes */

static void
ngx_stream_penstock_let_go(ngx_connection_t *c)
{
    if (ngx_del_conn) {
        if (c->read->active || c->write->active) {
            ngx_del_conn(c, 0);
        }

    } else {
        if (c->read->active || c->read->disabled) {
            ngx_del_event(c->read, NGX_READ_EVENT, 0);
        }

        if (c->write->active || c->write->disabled) {
            ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
        }
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->handler = ngx_stream_penstock_on;
    c->write->handler = ngx_stream_penstock_on;

    c->read->ready = 0;
    c->buffered = 0;
}


/* nginx's timers, and its call to each connection at worker_shutdown_timeout */

static void
ngx_stream_penstock_on(ngx_event_t *ev)
{
    ngx_connection_t           *c;
    ngx_stream_session_t       *s;
    ngx_stream_penstock_ctx_t  *ctx;

    c = ev->data;
    s = c->data;

    ctx = ngx_stream_get_module_ctx(s, ngx_stream_penstock_module);

    if (c->close) {
        ngx_stream_penstock_cancel(ctx);
        return;
    }

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_add_timer(ev, NGX_STREAM_PENSTOCK_KEEP);
    }
}


static void
ngx_stream_penstock_cancel(ngx_stream_penstock_ctx_t *ctx)
{
    ngx_connection_t  *c;

    if (ctx->cancelled) {
        return;
    }

    if (penstock_cancel(ngx_stream_penstock_engine(), ctx->id)
        != PENSTOCK_BUSY)
    {
        ctx->cancelled = 1;
        return;
    }

    c = ctx->session->connection;

    c->close = 1;
    c->read->timedout = 0;
    ngx_add_timer(c->read, NGX_STREAM_PENSTOCK_RETRY);
}


/*
 * Tells nginx what it would have seen for itself, and lets it end and log the
 * session, which is gone after that.
 */

void
ngx_stream_penstock_end(ngx_stream_penstock_ctx_t *ctx,
    const penstock_completion *completion)
{
    ngx_event_t       *ev;
    ngx_connection_t  *c, *pc;

    c = ctx->session->connection;
    pc = ctx->session->upstream->peer.connection;

    ngx_stream_penstock_count(ctx, completion);
    ngx_stream_penstock_log_end(ctx, completion);
    ngx_stream_penstock_unwatch(ctx);

    c->read->eof = 1;
    pc->read->eof = 1;

    ev = completion->side == PENSTOCK_SIDE_TARGET ? pc->read : c->read;

    if (completion->cause == PENSTOCK_CAUSE_IDLE_TIMEOUT) {
        ev = c->write;
        ev->timedout = 1;
    }

    /* nginx's handler comes to "shutdown timeout" by itself if c->close */

    ev->handler(ev);
}


/* bytes that nginx had read it has counted as received, but not as sent */

static void
ngx_stream_penstock_count(ngx_stream_penstock_ctx_t *ctx,
    const penstock_completion *completion)
{
    off_t                  to_target, to_client, early;
    ngx_stream_session_t  *s;

    s = ctx->session;

    to_target = (off_t) completion->bytes_to_target;
    to_client = (off_t) completion->bytes_to_client;

    s->upstream->peer.connection->sent += to_target;
    s->connection->sent += to_client;

    early = (off_t) ctx->early[0];
    s->received += ngx_max(to_target - early, 0);

    early = (off_t) ctx->early[1];
    s->upstream->received += ngx_max(to_client - early, 0);
}


static void
ngx_stream_penstock_log_end(ngx_stream_penstock_ctx_t *ctx,
    const penstock_completion *completion)
{
    ngx_uint_t  level;

    switch (completion->cause) {

    case PENSTOCK_CAUSE_FINISHED:
    case PENSTOCK_CAUSE_IDLE_TIMEOUT:
    case PENSTOCK_CAUSE_CANCELLED:
        return;

    case PENSTOCK_CAUSE_EXHAUSTED:
    case PENSTOCK_CAUSE_POOL_PINNED:
    case PENSTOCK_CAUSE_OVERLOADED:
        level = NGX_LOG_WARN;
        break;

    default:
        level = NGX_LOG_INFO;
    }

    ngx_log_error(level, ctx->session->connection->log, 0,
                  "penstock: ended by the %s: %s%s%s",
                  penstock_side_name(completion->side),
                  penstock_cause_name(completion->cause),
                  completion->detail[0] ? ": " : "", completion->detail);
}


static u_char *
ngx_stream_penstock_copy(u_char *p, ngx_chain_t *cl)
{
    for ( /* void */ ; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    return p;
}


/* nginx reads no more into a buffer in which there is no room */

static void
ngx_stream_penstock_free(ngx_pool_t *pool, ngx_buf_t *b)
{
    (void) ngx_pfree(pool, b->start);

    ngx_memzero(b, sizeof(ngx_buf_t));
}
