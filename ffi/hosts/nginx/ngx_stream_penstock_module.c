/*
 * nginx's stream proxy with its bytes carried by Penstock.
 *
 * nginx accepts, decides, chooses and connects as ever. Once a session stands
 * it is handed to an engine of this worker's, which moves the bytes on threads
 * of its own; nginx keeps the session, is told of its end, and logs it.
 * Sessions that can't be handed over stay with nginx. In here: the directives,
 * the variable, and what nginx calls the module by. TLS and UDP are refused.
 */

#include "ngx_stream_penstock.h"


static ngx_int_t ngx_stream_penstock_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_stream_penstock_variable(ngx_stream_session_t *s,
    ngx_stream_variable_value_t *v, uintptr_t data);
static void *ngx_stream_penstock_create_main_conf(ngx_conf_t *cf);
static char *ngx_stream_penstock_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_stream_penstock_create_srv_conf(ngx_conf_t *cf);
static char *ngx_stream_penstock_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_stream_penstock_enable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_conf_enum_t  ngx_stream_penstock_drivers[] = {
    { ngx_string("auto"), PENSTOCK_DRIVER_AUTO },
    { ngx_string("uring"), PENSTOCK_DRIVER_URING },
    { ngx_string("epoll"), PENSTOCK_DRIVER_EPOLL },
    { ngx_null_string, 0 }
};

static ngx_conf_num_bounds_t  ngx_stream_penstock_worker_bounds = {
    ngx_conf_check_num_bounds, 1, 256
};


static ngx_command_t  ngx_stream_penstock_commands[] = {

    { ngx_string("penstock"),
      NGX_STREAM_MAIN_CONF|NGX_STREAM_SRV_CONF|NGX_CONF_FLAG,
      ngx_stream_penstock_enable,
      NGX_STREAM_SRV_CONF_OFFSET,
      offsetof(ngx_stream_penstock_srv_conf_t, enable),
      NULL },

    { ngx_string("penstock_workers"),
      NGX_STREAM_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_STREAM_MAIN_CONF_OFFSET,
      offsetof(ngx_stream_penstock_main_conf_t, workers),
      &ngx_stream_penstock_worker_bounds },

    { ngx_string("penstock_driver"),
      NGX_STREAM_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_STREAM_MAIN_CONF_OFFSET,
      offsetof(ngx_stream_penstock_main_conf_t, driver),
      &ngx_stream_penstock_drivers },

      ngx_null_command
};


static ngx_stream_module_t  ngx_stream_penstock_module_ctx = {
    ngx_stream_penstock_preconfiguration,  /* preconfiguration */
    ngx_stream_penstock_take_servers,      /* postconfiguration */

    ngx_stream_penstock_create_main_conf,  /* create main configuration */
    ngx_stream_penstock_init_main_conf,    /* init main configuration */

    ngx_stream_penstock_create_srv_conf,   /* create server configuration */
    ngx_stream_penstock_merge_srv_conf     /* merge server configuration */
};


ngx_module_t  ngx_stream_penstock_module = {
    NGX_MODULE_V1,
    &ngx_stream_penstock_module_ctx,       /* module context */
    ngx_stream_penstock_commands,          /* module directives */
    NGX_STREAM_MODULE,                     /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_stream_penstock_init_process,      /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_stream_penstock_exit_process,      /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_stream_penstock_preconfiguration(ngx_conf_t *cf)
{
    ngx_str_t               name = ngx_string("penstock");
    ngx_stream_variable_t  *variable;

    if (ngx_stream_penstock_check_version(cf->log) != NGX_OK) {
        return NGX_ERROR;
    }

    variable = ngx_stream_add_variable(cf, &name, NGX_STREAM_VAR_NOCACHEABLE);
    if (variable == NULL) {
        return NGX_ERROR;
    }

    variable->get_handler = ngx_stream_penstock_variable;

    return NGX_OK;
}


static ngx_int_t
ngx_stream_penstock_variable(ngx_stream_session_t *s,
    ngx_stream_variable_value_t *v, uintptr_t data)
{
    u_char                     *p;
    ngx_stream_penstock_ctx_t  *ctx;

    ctx = ngx_stream_get_module_ctx(s, ngx_stream_penstock_module);

    if (ctx == NULL || (!ctx->on && ctx->reason == NULL)) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ctx->on) {
        v->data = (u_char *) "on";
        v->len = 2;

    } else {
        v->len = sizeof("fell back: ") - 1 + ngx_strlen(ctx->reason);

        p = ngx_pnalloc(s->connection->pool, v->len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        v->data = p;
        p = ngx_cpymem(p, "fell back: ", sizeof("fell back: ") - 1);
        ngx_memcpy(p, ctx->reason, ngx_strlen(ctx->reason));
    }

    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


static void *
ngx_stream_penstock_create_main_conf(ngx_conf_t *cf)
{
    ngx_stream_penstock_main_conf_t  *pmcf;

    pmcf = ngx_pcalloc(cf->pool, sizeof(ngx_stream_penstock_main_conf_t));
    if (pmcf == NULL) {
        return NULL;
    }

    pmcf->workers = NGX_CONF_UNSET;
    pmcf->driver = NGX_CONF_UNSET_UINT;

    return pmcf;
}


static char *
ngx_stream_penstock_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_stream_penstock_main_conf_t  *pmcf = conf;

    ngx_conf_init_value(pmcf->workers, 1);
    ngx_conf_init_uint_value(pmcf->driver, PENSTOCK_DRIVER_AUTO);

    return NGX_CONF_OK;
}


static void *
ngx_stream_penstock_create_srv_conf(ngx_conf_t *cf)
{
    ngx_stream_penstock_srv_conf_t  *pscf;

    pscf = ngx_pcalloc(cf->pool, sizeof(ngx_stream_penstock_srv_conf_t));
    if (pscf == NULL) {
        return NULL;
    }

    pscf->enable = NGX_CONF_UNSET;

    return pscf;
}


static char *
ngx_stream_penstock_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_stream_penstock_srv_conf_t  *prev = parent;
    ngx_stream_penstock_srv_conf_t  *conf = child;

    if (conf->enable == NGX_CONF_UNSET) {
        conf->file_name = prev->file_name;
        conf->line = prev->line;
    }

    ngx_conf_merge_value(conf->enable, prev->enable, 0);

    return NGX_CONF_OK;
}


static char *
ngx_stream_penstock_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_stream_penstock_srv_conf_t  *pscf = conf;

    pscf->file_name = cf->conf_file->file.name.data;
    pscf->line = cf->conf_file->line;

    return ngx_conf_set_flag_slot(cf, cmd, conf);
}
