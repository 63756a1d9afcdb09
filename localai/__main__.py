"""`python -m localai` is `ai`."""

from localai.cli.main import main

if __name__ == "__main__":
    main()
