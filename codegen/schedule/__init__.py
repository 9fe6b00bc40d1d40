"""When each operator runs, in which row bands, and where its bytes lie: order, memory plan, and the checker of both."""
