"""Pages for people: templates, their words in two languages, one stylesheet. They are handed what they show and ask nobody for it."""
