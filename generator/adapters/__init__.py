"""Other people's engines behind the interface of `generator.engine`; each is opened by `generator.kinds`."""
