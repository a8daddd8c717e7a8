"""One folder per backend; a framework is imported only below its own folder."""
