"""Where pictures come from: uploads, folders, stores, URLs."""
