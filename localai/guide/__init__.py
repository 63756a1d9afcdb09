"""The product's own guide: Markdown that ships in the package, for people and for `ai rag`."""
