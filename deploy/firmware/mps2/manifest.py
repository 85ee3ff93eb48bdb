freeze("$(PORT_DIR)", "_start.py")
