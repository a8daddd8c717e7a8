"""Two sets of stored runs against one another: which is better, by how much, and is it more than noise?"""
