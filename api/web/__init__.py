"""The pages for people: server-rendered, with small modules that only add comfort.

`application.add_pages(app)` adds them to the service. Templates, the stylesheet and the scripts are in
`api/pages/`. Pages call the same functions as the API and decide nothing: what they say is put into words in
`findings` and `wording`, from the report's own codes.
"""
