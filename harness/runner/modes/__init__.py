"""What a run does once its session stands: one module per `mode`, each with `run(context)`."""
