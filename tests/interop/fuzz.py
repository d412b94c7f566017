def run(report, gateway, work):
    pass
