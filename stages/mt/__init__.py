"""What the stages share. Nothing here reads params.yaml, the command line or a path of the pipeline."""
