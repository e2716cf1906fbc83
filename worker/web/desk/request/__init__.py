"""Who asks the desk for what: sessions, browsers, filters, forms."""
