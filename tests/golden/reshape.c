/* ---- layer data ---- */

/* ---- kernels ---- */

/* ---- inference ---- */

(net_context *context) {
  if (context == NULL || context->arena == NULL) {
    return NET_ERROR_NULL;
  }
  NET_TRACE_OP(-1);
  return NET_OK;
}
