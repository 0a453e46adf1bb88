"""Trained models behind HTTP: predictions in batches, thousands of streams, generated text: `gatework serve`.

From the bottom to the top:

limits, places      what a server bears; states in arrays
streams             the owner of all streams of a model: it knows neither time nor network
snapshot, journal   streams on disk: a snapshot and a log
live, batches       streams and predictions of many clients that come together
served, service     what stands behind a name, and the same at work
answers, described  requests and answers as bytes, and as OpenAPI says them
guard               who may come in: host, origin, token, rate, size
routes, app         the addresses
metrics             what is counted
server              the process: port, signals, end
"""
